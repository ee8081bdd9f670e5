//! A software TPM as a server's vendor leaves one: with an attestation key that lives in it, and the vendor's certificate of
//! that key in its memory (TCG TPM 2.0 Keys for Device Identity and Attestation 1.0).

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

/// TPM_RH_OWNER, whose password is empty.
const OWNER: u32 = 0x4000_0001;
/// Where the key stays.
const KEY_HANDLE: u32 = 0x8108_0000;
/// Where its certificate lies, in the range for identities.
const CERTIFICATE_INDEX: u32 = 0x01c9_0001;
/// Owner and holder may read and write, and no dictionary attack is guarded against.
const INDEX_ATTRIBUTES: u32 = 0x0206_0006;

const ECC: u16 = 0x0023;
const SHA256: u16 = 0x000b;
const NONE: u16 = 0x0010;
const ECDSA: u16 = 0x0018;
const P256: u16 = 0x0003;
/// fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, restricted, sign.
const ATTESTATION_KEY: u32 = 0x0005_0072;

/// SubjectPublicKeyInfo of a key on P-256 up to its point (RFC 5480, 2).
const PUBLIC_KEY: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

/// A program beside a guest, ended with it.
pub struct Helper(Child);

impl Drop for Helper {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// A TPM that waits for a machine.
pub struct Tpm {
    /// Ends with the machine.
    pub process: Helper,
    /// Socket for QEMU.
    pub socket: PathBuf,
    /// The vendor's certificate, PEM.
    pub vendor: String,
}

/// Makes a TPM in an empty folder.
pub fn make(folder: &Path) -> anyhow::Result<Tpm> {
    let state = folder.join("state");
    fs::create_dir_all(&state)?;
    run(Command::new("swtpm_setup").args(["--tpm2", "--pcr-banks", "sha256", "--tpm-state"]).arg(&state))
        .context("apt-get install swtpm swtpm-tools")?;
    let vendor = {
        let (_provisioning, mut stream) = switched_on(folder, &state)?;
        leave_certified_key(&mut stream, folder)?
    };
    let socket = folder.join("machine.sock");
    let mut command = Command::new("swtpm");
    command.args(["socket", "--tpm2", "--tpmstate", &format!("dir={}", state.display())]);
    command.args(["--ctrl", &format!("type=unixio,path={}", socket.display())]);
    let process = start(&mut command, &socket)?;
    Ok(Tpm { process, socket, vendor })
}

/// The TPM without a machine, and the way to it.
fn switched_on(folder: &Path, state: &Path) -> anyhow::Result<(Helper, UnixStream)> {
    let [commands, control] = ["commands.sock", "control.sock"].map(|name| folder.join(name));
    let mut command = Command::new("swtpm");
    command.args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"]);
    command.args(["--tpmstate", &format!("dir={}", state.display())]);
    command.args(["--server", &format!("type=unixio,path={}", commands.display())]);
    command.args(["--ctrl", &format!("type=unixio,path={}", control.display())]);
    let process = start(&mut command, &commands)?;
    Ok((process, UnixStream::connect(&commands)?))
}

fn start(command: &mut Command, socket: &Path) -> anyhow::Result<Helper> {
    let process = command.stdout(Stdio::null()).spawn().map(Helper).context("swtpm: apt-get install swtpm")?;
    for _ in 0..200 {
        if socket.exists() {
            return Ok(process);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("{} did not appear", socket.display())
}

/// Makes a key that stays in the TPM, certifies it, and leaves the certificate beside it. Gives the authority, PEM.
fn leave_certified_key(tpm: &mut UnixStream, folder: &Path) -> anyhow::Result<String> {
    let template = [
        &ECC.to_be_bytes()[..],
        &SHA256.to_be_bytes(),
        &ATTESTATION_KEY.to_be_bytes(),
        &sized(&[]),
        &[NONE, ECDSA, SHA256, P256, NONE].map(u16::to_be_bytes).concat(),
        &sized(&[]),
        &sized(&[]),
    ]
    .concat();
    let no_secret = [sized(&[]), sized(&[])].concat();
    let parameters = [&sized(&no_secret)[..], &sized(&template), &sized(&[]), &[0; 4]].concat();
    // TPM2_CreatePrimary: handle, size of the parameters, TPM2B_PUBLIC.
    let made = ask(tpm, 0x131, &[OWNER], &parameters)?;
    let handle = u32::from_be_bytes(made.get(..4).context("no key")?.try_into()?);
    // TPM2B_PUBLIC ends with the point's coordinates, 32 bytes each behind their lengths.
    let public_bytes: usize = u16::from_be_bytes(made.get(8..10).context("no key")?.try_into()?).into();
    let point = made.get(10..10 + public_bytes).and_then(|public| public.last_chunk::<68>()).context("no point")?;
    ask(tpm, 0x120, &[OWNER, handle], &KEY_HANDLE.to_be_bytes())?;
    let (authority, certificate) = certify(&[&PUBLIC_KEY[..], &point[2..34], &point[36..]].concat(), folder)?;
    let length = u16::try_from(certificate.len())?;
    let space = [
        &CERTIFICATE_INDEX.to_be_bytes()[..],
        &SHA256.to_be_bytes(),
        &INDEX_ATTRIBUTES.to_be_bytes(),
        &sized(&[]),
        &length.to_be_bytes(),
    ]
    .concat();
    ask(tpm, 0x12a, &[OWNER], &[sized(&[]), sized(&space)].concat())?;
    ask(tpm, 0x137, &[OWNER, CERTIFICATE_INDEX], &[&sized(&certificate)[..], &[0; 2]].concat())?;
    Ok(authority)
}

/// A TPM2B.
fn sized(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes()[..], bytes].concat()
}

/// Runs a command with the first handle's empty password (TPM 2.0 Library, part 1, 18); gives what follows the answer's header.
fn ask(tpm: &mut UnixStream, code: u32, handles: &[u32], parameters: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut body: Vec<u8> = handles.iter().flat_map(|handle| handle.to_be_bytes()).collect();
    body.extend([0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0]);
    body.extend(parameters);
    let length = u32::try_from(10 + body.len())?;
    tpm.write_all(&[&[0x80, 0x02][..], &length.to_be_bytes(), &code.to_be_bytes(), &body].concat())?;
    let mut header = [0; 10];
    tpm.read_exact(&mut header)?;
    ensure!(header[6..] == [0; 4], "the TPM refuses command {code:#x}: {:02x?}", &header[6..]);
    let length: usize = u32::from_be_bytes(header[2..6].try_into()?).try_into()?;
    let mut answer = vec![0; length.saturating_sub(10)];
    tpm.read_exact(&mut answer)?;
    Ok(answer)
}

/// An authority, PEM, and its certificate for an attestation key, DER.
fn certify(public_key: &[u8], folder: &Path) -> anyhow::Result<(String, Vec<u8>)> {
    let path = |name: &str| folder.join(name);
    fs::write(path("ak.der"), public_key)?;
    let openssl = || Command::new("openssl");
    run(openssl()
        .args(["pkey", "-pubin", "-inform", "DER", "-in"])
        .arg(path("ak.der"))
        .arg("-out")
        .arg(path("ak.pem")))?;
    run(openssl()
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"])
        .args(["-subj", "/CN=server vendor of the test bench", "-keyout"])
        .arg(path("vendor.key"))
        .arg("-out")
        .arg(path("vendor.pem")))?;
    // tcg-kp-AIKCertificate.
    fs::write(path("extensions"), "extendedKeyUsage = 2.23.133.8.3\n")?;
    run(openssl()
        .args(["x509", "-new", "-days", "30", "-subj", "/CN=attestation key", "-outform", "DER", "-force_pubkey"])
        .arg(path("ak.pem"))
        .arg("-CA")
        .arg(path("vendor.pem"))
        .arg("-CAkey")
        .arg(path("vendor.key"))
        .arg("-extfile")
        .arg(path("extensions"))
        .arg("-out")
        .arg(path("ak.crt")))?;
    Ok((fs::read_to_string(path("vendor.pem"))?, fs::read(path("ak.crt"))?))
}

/// Runs a program to its end; its output is the error when it fails.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {program}"))?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&said).trim());
    Ok(())
}
