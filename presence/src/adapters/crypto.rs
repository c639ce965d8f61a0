//! One cryptography provider for the whole process: TLS of every client and server, and tokens.

/// Makes AWS-LC the provider of TLS and of tokens. Call it first in `main`: two crates that each pick their own panic
/// at the first handshake. Calling it again changes nothing.
pub fn install_crypto_provider() {
    // Both return an error only when a provider is installed already, which is what is wanted.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installing_twice_is_harmless() {
        install_crypto_provider();
        install_crypto_provider();
        assert!(rustls::crypto::CryptoProvider::get_default().is_some());
    }
}
