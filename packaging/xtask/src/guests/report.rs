//! Reports that a guest made, verified outside of it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value as Json;

use crate::guest::Guest;
use crate::tpm::run;

/// A burn-in of a few seconds: the guests show that it runs and is signed, not that the host has good memory.
pub const SHORT_PROFILE: &str = "name = \"guest\"\nduration_seconds = 10\n[memory]\nshare_percent = 10\nphase_seconds = 3\n[cpu]\nphase_seconds = 3\n";

/// What `yanji verify` says of one report.
pub struct Verified {
    pub json: Json,
    pub code: i32,
}

impl Verified {
    /// Fails when the report is not valid.
    pub fn is_valid(&self) -> anyhow::Result<()> {
        ensure!(self.json["valid"] == true, "not valid: {}", self.json["failures"]);
        Ok(())
    }

    /// The sentence among what is proven that contains the word.
    pub fn proves(&self, word: &str) -> anyhow::Result<&str> {
        self.sentence("proven", word)
            .with_context(|| format!("nothing is proven with {word:?}: {}", self.json["proven"]))
    }

    /// The sentence among what is not proven that contains the word.
    pub fn does_not_prove(&self, word: &str) -> anyhow::Result<&str> {
        let found = self.sentence("notProven", word);
        found.with_context(|| format!("nothing is left open with {word:?}: {}", self.json["notProven"]))
    }

    fn sentence(&self, list: &str, word: &str) -> Option<&str> {
        self.json[list].as_array()?.iter().filter_map(Json::as_str).find(|line| line.contains(word))
    }
}

/// The binary as the verifier runs it: with keys and a memory of its own, beside the user's.
fn verifier(guest: &Guest<'_>) -> Command {
    let mut command = Command::new(&guest.bench.binary);
    for (variable, folder) in [("XDG_CONFIG_HOME", "config"), ("XDG_DATA_HOME", "data"), ("XDG_STATE_HOME", "state")] {
        command.env(variable, guest.path("verifier").join(folder));
    }
    command
}

/// Verifies a report; `how` is whom to believe.
pub fn verify(guest: &Guest<'_>, report: &Path, how: &[&OsStr]) -> anyhow::Result<Verified> {
    let output = verifier(guest).args(["verify", "--format", "json"]).args(how).arg(report).output()?;
    let json: Json = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("yanji verify: {}", String::from_utf8_lossy(&output.stderr)))?;
    Ok(Verified { json: json["reports"][0].clone(), code: output.status.code().unwrap_or(-1) })
}

/// Verifies a report by the key that lies beside it.
pub fn verify_by_its_key(guest: &Guest<'_>, report: &Path) -> anyhow::Result<Verified> {
    verify(guest, report, &["--key".as_ref(), report.join("signer.pub").as_os_str()])
}

/// A challenge of the verifier that a guest has so long to answer.
pub fn challenge(guest: &Guest<'_>, expires: &str) -> anyhow::Result<PathBuf> {
    let path = guest.path("challenge.json");
    run(verifier(guest).args(["challenge", "new", "--for", "order 17", "--expires", expires, "--out"]).arg(&path))?;
    Ok(path)
}

/// A trust policy of the verifier: the signer, the vendor who vouches for the guest's TPM, and the image that may run, by its
/// image.json.
pub fn trust_policy(guest: &Guest<'_>, report: &Path, vendor: &str, image: Option<&Path>) -> anyhow::Result<PathBuf> {
    let policy = guest.path("trust.toml");
    let trust = |arguments: &[&str], file: Option<&Path>| {
        run(verifier(guest).arg("trust").args(arguments).args(file).arg("--file").arg(&policy))
    };
    trust(&["init", "--name", "guests"], None)?;
    trust(&["add", "seller", "--role", "seller", "--public"], Some(&report.join("signer.pub")))?;
    // The version that the second command wrote is signed already.
    let mut text = fs::read_to_string(&policy)?.replace("version = 2", "version = 3");
    text += &format!("\n[[root]]\nkind = \"tpm\"\npem = \"\"\"\n{vendor}\"\"\"\n");
    if let Some(image) = image {
        let pcr11 = predicted(image, &["pcr11", "stub"])?;
        text += &format!("\n[[image]]\nname = \"yanji\"\nversion = \"test\"\npcr11 = \"{pcr11}\"\n");
    }
    fs::write(&policy, text)?;
    trust(&["sign"], None)?;
    Ok(policy)
}

/// A register that image.json predicts.
pub fn predicted(image: &Path, path: &[&str]) -> anyhow::Result<String> {
    let json: Json = serde_json::from_slice(&fs::read(image)?)?;
    let value = path.iter().fold(&json["measured"], |json, name| &json[*name]);
    Ok(value.as_str().with_context(|| format!("image.json has no {path:?}"))?.to_owned())
}

fn statement(report: &Path) -> anyhow::Result<Json> {
    Ok(serde_json::from_slice(&fs::read(report.join("report.json"))?)?)
}

/// Whether a report answers those 64 digits.
pub fn answers(report: &Path, challenge: &str) -> anyhow::Result<()> {
    let found = &statement(report)?["predicate"]["challenge"]["value"];
    ensure!(found == challenge, "the report answers {found}, not {challenge}");
    Ok(())
}

/// What the TPM showed of a register at the start and at the end.
pub fn quoted(report: &Path, register: u32) -> anyhow::Result<Vec<String>> {
    let statement = statement(report)?;
    let quotes = statement["predicate"]["platform"]["tpm"]["quotes"].as_array().context("no quotes")?;
    let value = |quote: &Json| quote["pcrs"][register.to_string()].as_str().map(str::to_owned);
    quotes.iter().map(|quote| value(quote).with_context(|| format!("register {register} is not quoted"))).collect()
}

/// Copies everything out of a FAT file system that begins so far into a file.
pub fn copy_out(guest: &Guest<'_>, file: &Path, offset: u64) -> anyhow::Result<PathBuf> {
    let name = file.file_stem().context("a file without a name")?.to_string_lossy().into_owned();
    let out = guest.path(&format!("copied-{name}"));
    fs::create_dir_all(&out)?;
    let image = format!("{}@@{offset}", file.display());
    run(Command::new("mcopy").args(["-s", "-n", "-i", &image, "::/"]).arg(&out)).context("apt-get install mtools")?;
    Ok(out)
}

/// Reports in a folder: its subfolders with the name of one.
pub fn reports_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut reports = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("yanji-report-")) {
            reports.push(path);
        }
    }
    Ok(reports)
}
