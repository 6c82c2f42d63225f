//! A certification authority of the test's own, and certificates by it.

use std::path::{Path, PathBuf};
use std::process::Command;

use lab::{Attempt, Error, Result};

/// An authority; its certificate is `ca.crt` in its directory.
pub struct Authority {
    directory: PathBuf,
}

impl Authority {
    /// Makes one in this directory.
    ///
    /// # Errors
    /// If openssl fails.
    pub fn new(directory: &Path) -> Result<Self> {
        let this = Self { directory: directory.to_owned() };
        this.openssl("ca", "An authority of the tests", &["-addext", "basicConstraints=critical,CA:TRUE"])?;
        Ok(this)
    }

    /// A server's certificate and key for this name, `NAME.crt` and `NAME.key` beside the authority's.
    ///
    /// # Errors
    /// If openssl fails.
    pub fn certify(&self, name: &str) -> Result<()> {
        let alternative = format!("subjectAltName=DNS:{name}");
        let authority = ["-CA", "ca.crt", "-CAkey", "ca.key", "-addext", "basicConstraints=CA:FALSE", "-addext"];
        self.openssl(name, name, &[&authority[..], &[&alternative]].concat())
    }

    fn openssl(&self, file: &str, common_name: &str, more: &[&str]) -> Result<()> {
        let (key, certificate) = (format!("{file}.key"), format!("{file}.crt"));
        let run = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
            .args(["-subj", &format!("/CN={common_name}"), "-keyout", &key, "-out", &certificate])
            .args(more)
            .current_dir(&self.directory)
            .output()
            .attempt(|| "run openssl".into())?;
        if !run.status.success() {
            let said = String::from_utf8_lossy(&run.stderr);
            return Err(Error::Senseless(format!("openssl makes no certificate for {common_name}: {said}")));
        }
        Ok(())
    }
}
