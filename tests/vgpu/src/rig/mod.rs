//! The rig file: which GPUs there are, what they say, and how they fail.

mod chip;
mod cuda;
mod expand;
mod gpu;
mod switch;
mod text;

use std::fs;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

pub use cuda::{Cuda, CudaEffect, CudaFault, Process};
pub use gpu::*;
pub use switch::Switch;
pub use text::Text;

/// GPUs in one rig.
pub const MAX_GPUS: usize = 64;

/// A rig as the library serves it: profiles applied, counts multiplied out.
#[derive(Debug, Clone)]
pub struct Rig {
    /// One line for a list.
    pub title: String,
    /// What the tool has to say about it.
    pub expect: Expect,
    /// The driver.
    pub driver: DriverFacts,
    /// The GPUs in NVML's order, those that only the PCI bus has at their place.
    pub gpus: Vec<VirtualGpu>,
    /// The NVSwitches, which NSCQ lists. Without any there is no NSCQ.
    pub switches: Vec<Switch>,
    /// What changes while it runs.
    pub changes: Vec<Change>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// What goes wrong while a GPU works.
    pub cuda_faults: Vec<CudaFault>,
}

/// A GPU, typed and as the table that changes are made to.
#[derive(Debug, Clone)]
pub struct VirtualGpu {
    /// What it says.
    pub gpu: Gpu,
    /// The same, as written.
    pub table: toml::Table,
}

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RigFile {
    title: String,
    /// What the rig stands for and where its numbers come from.
    #[serde(rename = "about")]
    _about: String,
    expect: Expect,
    #[serde(default)]
    driver: DriverFacts,
    #[serde(default)]
    gpu: Vec<toml::Table>,
    #[serde(default)]
    nvswitch: Vec<Switch>,
    #[serde(default)]
    change: Vec<Change>,
    #[serde(default)]
    fault: Vec<Fault>,
    #[serde(default)]
    cuda_fault: Vec<CudaFault>,
}

/// What the tool has to say about a rig.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// No GPU rule of severity high or above fires.
    pub genuine: bool,
    /// Rules that fire, among others perhaps.
    pub findings: Vec<String>,
    /// The rig shows a failure rather than a fraud: whatever rule fires, the tool ends in time and accepts nothing.
    pub failure: bool,
    /// What the card is sold as: the argument of `--claim`.
    pub claim: Option<String>,
    /// Rules that a burn-in makes fire.
    pub burn: Vec<String>,
    /// The verdict after a burn-in, under a policy that takes simulations and needs what it needs of GPUs: `accepted`,
    /// `undecided` or `rejected`. Without it a genuine rig is accepted, and another one is not.
    pub burned: Option<String>,
}

/// What the driver says of itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DriverFacts {
    /// Version of the user-space libraries.
    pub version: Text,
    /// Version of NVML.
    pub nvml_version: Text,
    /// 1000 times the major plus 10 times the minor CUDA version.
    pub cuda_version: i32,
    /// Version of the kernel module; the libraries' without it.
    pub kernel_version: Option<String>,
    /// Digest of the module's source.
    pub srcversion: String,
    /// Whether the kernel module is the open one.
    pub open: bool,
    /// Whether there is a kernel module: `/proc/driver/nvidia` and `/sys/module/nvidia`.
    pub loaded: bool,
    /// What `nvmlInit` fails with.
    pub init_error: Option<u32>,
    /// How long each NVML call takes at least. The library alone answers in less than one; drivers were measured between
    /// 20 (RTX 5080) and 365 (Tesla K40m).
    pub call_microseconds: u64,
    /// Functions that the library does not export.
    pub missing: Vec<String>,
    /// Whether confidential computing is on.
    pub confidential_compute: Option<bool>,
}

impl Default for DriverFacts {
    fn default() -> Self {
        Self {
            version: "570.124.06".into(),
            nvml_version: "12.570.124.06".into(),
            cuda_version: 12080,
            kernel_version: None,
            srcversion: "4D7A27E5E2F1B1F5A1C3D09".into(),
            open: true,
            loaded: true,
            init_error: None,
            call_microseconds: 0,
            missing: Vec::new(),
            confidential_compute: None,
        }
    }
}

/// When something begins: as soon as one of its conditions is met, or at once without any.
#[derive(Debug, Clone)]
pub struct When {
    /// Position of the GPU in the rig; every GPU and every call without one when absent.
    pub gpu: Option<usize>,
    /// Function whose calls count; every function when absent.
    pub call: Option<String>,
    /// Calls that go before.
    pub after_calls: Option<u64>,
    /// Milliseconds after `nvmlInit` that go before.
    pub after_ms: Option<u64>,
}

/// A value that changes while the rig runs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// GPU; every one when absent.
    pub gpu: Option<usize>,
    /// Function whose calls count.
    pub call: Option<String>,
    /// Calls that still get the old value.
    pub after_calls: Option<u64>,
    /// Milliseconds after `nvmlInit` with the old value.
    pub after_ms: Option<u64>,
    /// Dotted path in the GPU's table: `power.draw_milliwatts`.
    pub field: String,
    /// The new value.
    pub value: toml::Value,
}

/// A call that goes wrong.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// GPU; every one, and calls without a GPU, when absent.
    pub gpu: Option<usize>,
    /// Function; every one when absent.
    pub call: Option<String>,
    /// Calls that still work.
    pub after_calls: Option<u64>,
    /// Milliseconds after `nvmlInit` in which they still work.
    pub after_ms: Option<u64>,
    /// What happens.
    pub effect: Effect,
}

/// What a fault does to a call.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It never returns.
    Hang,
    /// It returns that NVML error.
    Error(u32),
    /// It and every later call on that GPU fail with `NVML_ERROR_GPU_IS_LOST`.
    Lost,
}

impl Change {
    /// When it happens.
    pub fn when(&self) -> When {
        When { gpu: self.gpu, call: self.call.clone(), after_calls: self.after_calls, after_ms: self.after_ms }
    }
}

impl Fault {
    /// When it happens.
    pub fn when(&self) -> When {
        When { gpu: self.gpu, call: self.call.clone(), after_calls: self.after_calls, after_ms: self.after_ms }
    }
}

impl Rig {
    /// Reads a rig file.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is not a rig", path.display()))
    }

    /// Reads a rig. Everything that can be wrong with it is said here, so that the library need not fail on it later.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let file: RigFile = toml::from_str(text)?;
        let gpus = expand::gpus(&file.gpu)?;
        ensure!(gpus.len() <= MAX_GPUS, "{} GPUs, and a rig has at most {MAX_GPUS}", gpus.len());
        let rig = Self {
            title: file.title,
            expect: file.expect,
            driver: file.driver,
            gpus,
            switches: file.nvswitch,
            changes: file.change,
            faults: file.fault,
            cuda_faults: file.cuda_fault,
        };
        rig.check()?;
        Ok(rig)
    }

    /// The GPUs that NVML lists.
    pub fn nvml_gpus(&self) -> impl Iterator<Item = &VirtualGpu> {
        self.gpus.iter().filter(|it| it.gpu.seen_by.contains(&Source::Nvml))
    }

    fn check(&self) -> anyhow::Result<()> {
        let expect = &self.expect;
        let kinds = [expect.genuine, expect.failure, !expect.findings.is_empty()];
        ensure!(kinds.into_iter().filter(|&it| it).count() == 1, "a rig is genuine, has findings, or shows a failure");
        let verdicts = ["accepted", "undecided", "rejected"];
        let burned = expect.burned.as_deref().is_none_or(|it| verdicts.contains(&it));
        ensure!(burned, "expect.burned: {:?} is no verdict", expect.burned);
        let known = |name: &String| crate::function_names().any(|it| it == name);
        for name in &self.driver.missing {
            let cuda = crate::cuda_function_names().any(|it| it == name);
            ensure!(known(name) || cuda, "driver.missing: no function {name}");
        }
        for change in &self.changes {
            ensure!(change.call.as_ref().is_none_or(known), "change: no function {:?}", change.call);
            ensure!(change.gpu.is_none_or(|gpu| gpu < self.gpus.len()), "change: no GPU {:?}", change.gpu);
            for (index, gpu) in self.gpus.iter().enumerate() {
                if change.gpu.is_none_or(|it| it == index) {
                    expand::changed(&gpu.table, &change.field, &change.value)
                        .with_context(|| format!("change of {}", change.field))?;
                }
            }
        }
        for fault in &self.cuda_faults {
            ensure!(fault.gpu.is_none_or(|gpu| gpu < self.gpus.len()), "cuda_fault: no GPU {:?}", fault.gpu);
            if let CudaEffect::StuckBit { bit, .. } | CudaEffect::FlippingBit { bit, .. } = fault.effect {
                ensure!(bit < 8, "cuda_fault: a byte has no bit {bit}");
            }
        }
        for switch in &self.switches {
            switch.check()?;
        }
        for gpu in &self.gpus {
            let cuda = &gpu.gpu.cuda;
            ensure!(cuda.memory_mib != Some(0) && cuda.real_mib != Some(0), "gpu.cuda: no memory");
        }
        for fault in &self.faults {
            ensure!(fault.call.as_ref().is_none_or(known), "fault: no function {:?}", fault.call);
            ensure!(fault.gpu.is_none_or(|gpu| gpu < self.gpus.len()), "fault: no GPU {:?}", fault.gpu);
            if matches!(fault.effect, Effect::Error(0)) {
                bail!("fault: error 0 is success");
            }
        }
        Ok(())
    }
}

impl VirtualGpu {
    /// The GPU with one field changed.
    pub fn changed(&self, field: &str, value: &toml::Value) -> anyhow::Result<Self> {
        let table = expand::changed(&self.table, field, value)?;
        let mut gpu: Gpu = table.clone().try_into()?;
        gpu.confidential_compute.signer.clone_from(&self.gpu.confidential_compute.signer);
        Ok(Self { gpu, table })
    }
}
