//! TLS for connections to Redis.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore,
    SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The error message for a server certificate without extensions.
const VERSION_1: &str = "the server's certificate is of version 1, without extensions: issue one of version 3 with a \
    subjectAltName (openssl x509 -req -extfile …), or set tls-insecure";

/// The TLS settings of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// PEM file of the trusted authorities; `None` for those of the system.
    pub ca_file: Option<PathBuf>,
    /// PEM files of this client's certificate chain and its private key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name expected in the servers' certificates instead of the configured host.
    pub server_name: Option<String>,
    /// Whether the servers' certificates are accepted without verification.
    pub insecure: bool,
}

/// The TLS settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, or has no usable PEM content.
    #[error("`{}` cannot be used for TLS: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The problem with the file.
        problem: String,
    },
    /// The system has no trusted authorities.
    #[error("no authorities of the system to trust ({0}): name a file of them")]
    NoAuthorities(String),
    /// The certificates or the key cannot be used.
    #[error("the certificates cannot be used: {0}")]
    Unusable(String),
}

/// The prepared TLS client of a cluster.
#[derive(Clone)]
pub(super) struct TlsClient {
    connector: TlsConnector,
    server_name: Option<String>,
}

impl TlsClient {
    pub(super) fn new(tls: &Tls) -> Result<Self, TlsError> {
        let unusable = |error: &dyn std::fmt::Display| TlsError::Unusable(error.to_string());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = if tls.insecure {
            Arc::new(NoVerification(Arc::clone(&provider)))
        } else {
            let roots = Arc::new(authorities(tls.ca_file.as_deref())?);
            WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                .build()
                .map_err(|error| unusable(&error))?
        };
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &tls.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let private =
                    PrivateKeyDer::from_pem_file(key).map_err(|e| unusable_file(key, &e))?;
                let certificates = certificates(chain)?;
                if certificates.is_empty() {
                    return Err(unusable_file(chain, &"no certificate in it"));
                }
                let with_key = |error| format!("with the key `{}`: {error}", key.display());
                let private = provider.key_provider.load_private_key(private);
                let private = private.map_err(|error| unusable_file(key, &error))?;
                let certified = CertifiedKey::new(certificates, private);
                match certified.keys_match() {
                    // For a certificate of version 1, rustls cannot compare the key. The servers check the pair
                    // themselves.
                    Err(error) if is_of_version_1(&error) => {}
                    matching => {
                        matching.map_err(|error| unusable_file(chain, &with_key(error)))?;
                    }
                }
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
            }
        };
        // A resumed session shows no certificate. With resumption, a certificate that expired meanwhile would go
        // unnoticed until a restart.
        config.resumption = Resumption::disabled();
        Ok(Self {
            connector: Arc::new(config).into(),
            server_name: tls.server_name.clone(),
        })
    }

    /// Wraps a TCP connection to `host` in TLS.
    pub(super) async fn wrap(
        &self,
        host: &str,
        tcp: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = self.server_name.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        self.connector.connect(name, tcp).await
    }
}

/// An error of a TLS connection in words, with the remedy where one is known. The words stay the same while the error
/// lasts, so that a keeper tells of the error once.
pub(super) fn in_words(error: &io::Error) -> String {
    let cause = error.get_ref().and_then(|it| it.downcast_ref());
    cause
        .and_then(explained)
        .map_or_else(|| error.to_string(), str::to_owned)
}

/// The fault in the certificate of the server, or in this keeper's own, with the remedy; `None` if the error of rustls
/// says enough.
fn explained(error: &rustls::Error) -> Option<&'static str> {
    if is_of_version_1(error) {
        return Some(VERSION_1);
    }
    match error {
        rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => Some("the server's certificate has expired: renew it"),
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => Some("the server's certificate is not valid yet: set the clocks of both hosts"),
        // With TLS 1.3 the server's alert comes after the handshake, as the answer to the first request.
        rustls::Error::AlertReceived(alert) => refused(*alert),
        _ => None,
    }
}

/// Why the server refuses this keeper's own certificate; `None` if the alert is about another subject.
fn refused(alert: AlertDescription) -> Option<&'static str> {
    match alert {
        AlertDescription::CertificateExpired => {
            Some("this keeper's own certificate has expired: renew the file of tls-cert-file")
        }
        AlertDescription::UnknownCA => Some(
            "the server does not trust this keeper's own certificate: its authority is missing in the server's \
             tls-ca-cert-file",
        ),
        AlertDescription::CertificateRequired => Some(
            "the server demands a certificate of this keeper: set tls-cert-file and tls-key-file",
        ),
        _ => None,
    }
}

/// Whether a certificate was refused because it has no extensions. The webpki crate accepts only certificates of
/// version 3.
fn is_of_version_1(error: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(cause)) = error else {
        return false;
    };
    cause.to_string().contains("UnsupportedCertVersion")
}

fn authorities(file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let certificates = if let Some(file) = file {
        certificates(file)?
    } else {
        let found = rustls_native_certs::load_native_certs();
        if found.certs.is_empty() {
            let errors: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
            return Err(TlsError::NoAuthorities(errors.join("; ")));
        }
        found.certs
    };
    let mut store = RootCertStore::empty();
    // A system's collection may hold certificates that cannot be parsed; the others are trusted.
    let (added, _) = store.add_parsable_certificates(certificates);
    match file {
        Some(file) if added == 0 => Err(unusable_file(file, &"no certificate in it")),
        _ => Ok(store),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unusable_file(path, &error))
}

fn unusable_file(path: &Path, problem: &dyn std::fmt::Display) -> TlsError {
    TlsError::File {
        path: path.to_owned(),
        problem: problem.to_string(),
    }
}

/// Accepts any certificate, as the operator asked with `tls-insecure`. The signatures are not verified either: an
/// attacker between the two ends could show a certificate of its own.
#[derive(Debug)]
struct NoVerification(Arc<CryptoProvider>);

impl ServerCertVerifier for NoVerification {
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
