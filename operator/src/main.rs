//! `presence-operator`: its command line.

use std::io::Write;

fn main() -> anyhow::Result<()> {
    anyhow::ensure!(
        std::env::args().nth(1).as_deref() == Some("crd"),
        "`presence-operator crd` is all there is so far"
    );
    std::io::stdout().write_all(presence_operator::crd::yaml().as_bytes())?;
    Ok(())
}
