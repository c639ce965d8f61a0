//! The seam to the checker: one history in, one verdict out.

use anyhow::{Result, ensure};
use presence_api::history::{Act, Entry};

/// Fails with the verdict's text.
pub fn judge(history: &[Entry]) -> Result<()> {
    ensure!(history.iter().any(|entry| matches!(entry.act, Act::Quiet {})), "it never became quiet");
    Ok(())
}
