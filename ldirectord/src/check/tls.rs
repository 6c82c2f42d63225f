//! How TLS is spoken by the checks.

use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::stage::Stage;

/// Shared by all checks, because making it anew costs milliseconds.
#[derive(Debug, Clone)]
pub struct Tls {
    provider: Arc<CryptoProvider>,
    unverified: Arc<ClientConfig>,
    /// Made when it is first needed, which most files never do: the system's authorities are a hundred files.
    verified: Arc<OnceLock<Result<Arc<ClientConfig>, String>>>,
}

impl Tls {
    /// Reads nothing yet.
    ///
    /// # Panics
    /// Never: the provider supports TLS 1.2 and 1.3.
    #[must_use]
    pub fn new() -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let any = AnyCertificate(provider.clone());
        let mut config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("ring speaks TLS 1.2 and 1.3")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(any))
            .with_no_client_auth();
        // A resumed session would hide a server that can no longer shake hands.
        config.resumption = Resumption::disabled();
        Self { provider, unverified: Arc::new(config), verified: Arc::default() }
    }

    /// The client's side. Without `verify` any certificate is taken, as ldirectord always meant to: a health check
    /// asks whether the server works, and most real servers present names that are not theirs (spec 8.2, B14). With it the
    /// certificate has to be the server's and by one of the system's authorities.
    ///
    /// # Errors
    /// If it is to be verified, and the system has no authorities.
    pub fn config(&self, verify: bool) -> Result<Arc<ClientConfig>, String> {
        if verify { self.verified.get_or_init(|| self.with_authorities()).clone() } else { Ok(self.unverified.clone()) }
    }

    /// Shakes hands with a server that goes by this name, or is known by its address only.
    ///
    /// # Errors
    /// If the server does not, or its certificate is to be verified and is not the server's.
    pub async fn begin<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stage: &Stage,
        stream: S,
        name: Option<&str>,
        verify: bool,
    ) -> Result<TlsStream<S>, String> {
        stage.expect("a TLS handshake");
        let name = name.and_then(|name| ServerName::try_from(name.to_owned()).ok());
        let name = name.unwrap_or_else(|| ServerName::IpAddress(stage.at().ip().into()));
        let connector = TlsConnector::from(self.config(verify)?);
        connector.connect(name, stream).await.map_err(|error| stage.broken(&error))
    }

    fn with_authorities(&self) -> Result<Arc<ClientConfig>, String> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (usable, _) = roots.add_parsable_certificates(found.certs);
        if usable == 0 {
            let why = found.errors.first().map_or_else(|| "none was found".to_owned(), ToString::to_string);
            return Err(format!("verify=yes needs certification authorities on this machine ({why})"));
        }
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self::new()
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
