//! TLS for checks: as much of it as shows that the server can shake hands.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::stage::Stage;

/// How TLS is spoken: shared by all checks, because making it anew costs milliseconds.
#[derive(Debug, Clone)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Takes any certificate, as ldirectord always did: a health check asks whether the server
    /// works, and most real servers present names that are not theirs (spec 8.2, B14).
    ///
    /// # Panics
    /// Never: the provider supports TLS 1.2 and 1.3.
    #[must_use]
    pub fn unverified() -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("ring speaks TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth();
        // A resumed session would hide a server that can no longer shake hands.
        config.resumption = Resumption::disabled();
        Self(Arc::new(config))
    }

    /// For a client that does its own handshakes.
    pub fn config(&self) -> ClientConfig {
        ClientConfig::clone(&self.0)
    }

    /// Shakes hands on a connection to a server that is known by its address only.
    pub async fn begin<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stage: &Stage,
        stream: S,
    ) -> Result<TlsStream<S>, String> {
        stage.expect("a TLS handshake");
        let name = ServerName::IpAddress(stage.at().ip().into());
        let connector = TlsConnector::from(self.0.clone());
        connector.connect(name, stream).await.map_err(|error| stage.broken(&error))
    }
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
