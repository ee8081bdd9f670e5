//! The software TPM of Debian (swtpm), with an endorsement key that its own local authority certified.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use yanji::host::tpm::TpmAddress;

/// A running TPM, which ends with this value.
pub struct Swtpm {
    folder: TempDir,
    port: u16,
    child: Child,
}

impl Swtpm {
    /// Makes and starts a TPM; `None`, said aloud, where none is installed.
    pub fn start() -> Option<Self> {
        Self::with_bank("sha256")
    }

    /// One with registers of that bank only.
    pub fn with_bank(bank: &str) -> Option<Self> {
        for program in ["swtpm", "swtpm_setup"] {
            if Command::new(program).arg("--version").stdout(Stdio::null()).status().is_err() {
                println!("skipped: no swtpm");
                return None;
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        for name in ["state", "ca"] {
            fs::create_dir(path(name)).unwrap();
        }
        let ca = [
            ("statedir", "ca"),
            ("signingkey", "ca/key.pem"),
            ("issuercert", "ca/issuer.pem"),
            ("certserial", "ca/serial"),
        ];
        let ca: String = ca.iter().map(|(name, file)| format!("{name} = {}\n", path(file))).collect();
        fs::write(path("ca.conf"), ca).unwrap();
        let program = ["/usr/bin/swtpm_localca", "/usr/share/swtpm/swtpm-localca"]
            .into_iter()
            .find(|program| PathBuf::from(program).exists())
            .unwrap_or("swtpm_localca");
        let setup = format!(
            "create_certs_tool = {program}\ncreate_certs_tool_config = {}\ncreate_certs_tool_options = /etc/swtpm-localca.options\n",
            path("ca.conf")
        );
        fs::write(path("setup.conf"), setup).unwrap();
        let made = Command::new("swtpm_setup")
            .args(["--tpm2", "--create-ek-cert", "--create-platform-cert", "--lock-nvram", "--pcr-banks", bank])
            .args(["--tpm-state", &path("state"), "--config", &path("setup.conf")])
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}{}",
            String::from_utf8_lossy(&made.stdout),
            String::from_utf8_lossy(&made.stderr)
        );
        // Another process may take a port that was free a moment ago.
        for _ in 0..5 {
            let [port, control] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
            let [port, control] = [port, control].map(|listener| listener.local_addr().unwrap().port());
            if let Some(child) = spawn(&path("state"), port, control) {
                return Some(Self { folder, port, child });
            }
        }
        panic!("swtpm does not start");
    }

    /// For `--tpm`.
    pub fn argument(&self) -> String {
        format!("tcp:127.0.0.1:{}", self.port)
    }

    pub fn address(&self) -> TpmAddress {
        self.argument().parse().unwrap()
    }

    /// The certificate of the authority that certified its endorsement key, PEM.
    pub fn authority(&self) -> String {
        fs::read_to_string(self.folder.path().join("ca/issuer.pem")).unwrap()
    }

    /// Switches it off and on, as a boot of the machine does.
    pub fn reset(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let state = self.folder.path().join("state").display().to_string();
        let control = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        self.child = spawn(&state, self.port, control).unwrap();
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Starts a TPM and waits until it listens; `None` when it ended at once.
fn spawn(state: &str, port: u16, control: u16) -> Option<Child> {
    let mut child = Command::new("swtpm")
        .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
        .args(["--tpmstate", &format!("dir={state}")])
        .args(["--server", &format!("type=tcp,port={port}"), "--ctrl", &format!("type=tcp,port={control}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(60), "swtpm does not listen");
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        thread::sleep(Duration::from_millis(20));
    }
    Some(child)
}
