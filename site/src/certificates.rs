//! Certificates for servers and keepers, made by `openssl`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// How `openssl ca` signs: whatever it is asked to.
const RULES: &str = "[ca]\ndefault_ca = own\n[own]\ndatabase = index\nnew_certs_dir = .\nrand_serial = yes\n\
    unique_subject = no\ndefault_md = sha256\npolicy = any\n[any]\ncommonName = supplied\n";

/// A folder of authorities, certificates and keys: `NAME.crt` and `NAME.key`.
pub struct Certificates(TempDir);

/// When a certificate ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// Some seconds before the certificate was made.
    JustNow,
    /// A day after the certificate was made.
    Tomorrow,
}

// === impl Certificates ===

impl Certificates {
    /// Makes authorities of these names.
    pub fn by(authorities: &[&str]) -> Self {
        let certificates = Self(TempDir::new().expect("a directory"));
        std::fs::write(certificates.file("rules"), RULES).expect("written");
        std::fs::write(certificates.file("index"), "").expect("written");
        for name in authorities {
            certificates.openssl(&format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={name} \
                 -keyout {name}.key -out {name}.crt"
            ));
        }
        certificates
    }

    /// The path of a file of the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Makes a certificate for `name`, an address or a name of a host, signed by `authority`. The key stays the same from one
    /// certificate of this name to the next.
    pub fn issue(&self, authority: &str, name: &str, ends: Ends) {
        let request = format!("{name}.csr");
        if !self.file(&request).exists() {
            self.openssl(&format!(
                "req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN={name} \
                 -keyout {name}.key -out {request}"
            ));
            let kind = name.parse::<IpAddr>().map_or("DNS", |_| "IP");
            let extension = format!("subjectAltName={kind}:{name}");
            std::fs::write(self.file(&format!("{name}.ext")), extension).expect("written");
        }
        let (begin, end) = match ends {
            Ends::JustNow => ("1 day ago", "10 seconds ago"),
            Ends::Tomorrow => ("1 day ago", "1 day"),
        };
        self.openssl(&format!(
            "ca -batch -config rules -notext -in {request} -cert {authority}.crt -keyfile {authority}.key \
             -startdate {} -enddate {} -extfile {name}.ext -out {name}.crt",
            moment(begin),
            moment(end)
        ));
    }

    /// Replaces the file `to` by the contents of the files `from`, one after the other, in a single step.
    pub fn put(&self, from: &[&str], to: &str) {
        let read = |name: &&str| std::fs::read(self.file(name)).expect("a file of the folder");
        let contents: Vec<u8> = from.iter().flat_map(read).collect();
        let new = self.file("new");
        std::fs::write(&new, contents).expect("written");
        std::fs::rename(&new, self.file(to)).expect("renamed");
    }

    /// Runs `openssl` in the folder.
    fn openssl(&self, words: &str) {
        run(Command::new("openssl")
            .args(words.split(' '))
            .current_dir(self.0.path()));
    }
}

/// A moment as `date` knows it, in the form of a certificate.
fn moment(words: &str) -> String {
    let said = run(Command::new("date").args(["-u", "-d", words, "+%Y%m%d%H%M%SZ"]));
    said.trim().to_owned()
}

/// Runs a command that must succeed. Returns what it prints.
fn run(command: &mut Command) -> String {
    let done = command.output().expect("an installed program");
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {errors}");
    String::from_utf8_lossy(&done.stdout).into_owned()
}
