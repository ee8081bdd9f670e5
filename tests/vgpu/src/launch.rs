//! Runs the real `yanji` against a rig.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

use crate::attest::Authority;
use crate::rig::{MAX_GPUS, Rig};
use crate::symbols::remove_symbols;
use crate::tree;

/// Name under which the NVML library is looked for.
const NVML: &str = "libnvidia-ml.so.1";
/// Names of the CUDA library, which is the same one.
const CUDA: [&str; 2] = ["libcuda.so.1", "libcuda.so"];
/// Name of the library for NVSwitches, which is the same one too.
const NSCQ: &str = "libnvidia-nscq.so.2";

/// A rig laid out in a temporary folder, which goes when this is dropped.
#[derive(Debug)]
pub struct Machine {
    folder: TempDir,
    rig: Rig,
}

impl Machine {
    /// Lays out the library, the rig and the files of the kernel.
    pub fn new(rig: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(rig).with_context(|| format!("cannot read {}", rig.display()))?;
        Self::of(&text).with_context(|| format!("{} is not a rig", rig.display()))
    }

    /// The same from the text of a rig.
    pub fn of(text: &str) -> anyhow::Result<Self> {
        let machine = Self { folder: tempfile::Builder::new().prefix("vgpu-").tempdir()?, rig: Rig::parse(text)? };
        let source = library()?;
        // A copy, not a link: the loader takes two names of one file for one library, and each rig needs its own.
        fs::copy(&source, machine.library()).with_context(|| format!("cannot copy {}", source.display()))?;
        if !machine.rig.driver.missing.is_empty() {
            let mut library = fs::read(machine.library())?;
            remove_symbols(&mut library, &machine.rig.driver.missing)?;
            fs::write(machine.library(), library)?;
        }
        for name in CUDA.into_iter().chain((!machine.rig.switches.is_empty()).then_some(NSCQ)) {
            std::os::unix::fs::symlink(NVML, machine.folder.path().join(name))?;
        }
        fs::write(machine.state_file(), vec![0; crate::load::FILE_BYTES as usize])?;
        fs::write(machine.rig_file(), text)?;
        for (ordinal, gpu) in machine.rig.gpus.iter().enumerate() {
            if let Some(identity) = gpu.gpu.confidential_compute.identity(&gpu.gpu) {
                Authority::of_process()?.device(&identity)?.save(machine.folder.path(), ordinal)?;
                fs::write(machine.device_root(), Authority::of_process()?.root())?;
            }
        }
        for (ordinal, switch) in machine.rig.switches.iter().enumerate() {
            Authority::of_process()?.device(&switch.identity())?.save(machine.folder.path(), MAX_GPUS + ordinal)?;
            fs::write(machine.device_root(), Authority::of_process()?.root())?;
        }
        fs::create_dir(machine.root())?;
        tree::write(&machine.rig, &machine.root())?;
        Ok(machine)
    }

    /// The rig.
    pub fn rig(&self) -> &Rig {
        &self.rig
    }

    /// The rig's file, for `VGPU_RIG`.
    pub fn rig_file(&self) -> PathBuf {
        self.folder.path().join("rig.toml")
    }

    /// What the processes on this machine know of its load, for `VGPU_STATE`.
    pub fn state_file(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The authority that vouches for its GPUs, where any of them signs.
    pub fn device_root(&self) -> PathBuf {
        self.folder.path().join("device-root.pem")
    }

    /// The NVML library.
    pub fn library(&self) -> PathBuf {
        self.folder.path().join(NVML)
    }

    /// The folder that stands for `/`.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// That program in surroundings where this machine is the only one.
    pub fn command(&self, yanji: &Path) -> Command {
        let mut libraries = OsString::from(self.folder.path());
        if let Some(more) = env::var_os("LD_LIBRARY_PATH").filter(|it| !it.is_empty()) {
            libraries.push(":");
            libraries.push(more);
        }
        let mut command = Command::new(yanji);
        command.env("LD_LIBRARY_PATH", libraries).env("VGPU_RIG", self.rig_file()).env("YANJI_ROOT", self.root());
        command.env("VGPU_STATE", self.state_file());
        command
    }
}

/// `yanji` as built: what `VGPU_YANJI` names, or the binary beside this one, brought up to date first under `cargo run`.
pub fn yanji() -> anyhow::Result<PathBuf> {
    if let Some(path) = env::var_os("VGPU_YANJI") {
        return Ok(path.into());
    }
    let folder = build_folder()?;
    if let Some(cargo) = env::var_os("CARGO") {
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", "yanji", "--bin", "yanji", "--manifest-path"]);
        build.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"));
        if folder.file_name().is_some_and(|name| name == "release") {
            build.arg("--release");
        }
        if let Some(target) = folder.parent() {
            build.arg("--target-dir").arg(target);
        }
        ensure!(build.status().context("cannot run cargo")?.success(), "cargo could not build yanji");
    }
    let path = folder.join("yanji");
    if !path.exists() {
        bail!("{} is not there; build it with: cargo build, or name it in VGPU_YANJI", path.display());
    }
    Ok(path)
}

/// The library as Cargo built it with this program.
fn library() -> anyhow::Result<PathBuf> {
    const NAME: &str = "libvgpu.so";
    let folder = build_folder()?;
    // A test's dependencies stay in `deps`; a copy one folder up may be an older one.
    let found = [folder.join("deps").join(NAME), folder.join(NAME)].into_iter().find(|path| path.exists());
    found.with_context(|| format!("there is no {NAME} in {}; build it with: cargo build -p vgpu", folder.display()))
}

/// `target/debug`, from the program that runs there or in `deps` below it.
fn build_folder() -> anyhow::Result<PathBuf> {
    let program = env::current_exe().context("cannot tell where this program is")?;
    let folder = program.parent().context("this program is in no folder")?;
    Ok(if folder.file_name().is_some_and(|name| name == "deps") { folder.parent().unwrap_or(folder) } else { folder }
        .into())
}
