//! `yanji inspect`.

use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Context;
use yanji::collect;
use yanji::evidence::{EvidenceBuilder, Reading};
use yanji::host::{Bmc, Credentials, Host, LiveHost, Query, RecordedHost};
use yanji::inspection;
use yanji::report;
use yanji::rule::Signatures;
use zeroize::Zeroizing;

use super::args::{Format, Global};
use super::claim::ClaimArgs;
use super::error::CliError;
use super::exit::Exit;
use super::output;

/// Arguments of `yanji inspect`.
#[derive(Debug, clap::Args)]
pub struct InspectArgs {
    /// Inspect a recorded machine: an archive of `yanji capture`, or a folder laid out like the root
    #[arg(long, value_name = "PATH")]
    pub host: Option<PathBuf>,
    /// What was sold.
    #[command(flatten)]
    pub claim: ClaimArgs,
    /// How this machine is looked at.
    #[command(flatten)]
    pub live: LiveArgs,
}

/// How this machine is looked at.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct LiveArgs {
    /// Do not read the video BIOS of GPUs, for which their option ROM is switched on for a moment
    #[arg(long, conflicts_with = "host")]
    pub no_rom: bool,
    /// Ask this management controller (BMC) for its memory modules too: https://host. Password: --bmc-credentials, or
    /// YANJI_BMC_USER and YANJI_BMC_PASSWORD
    #[arg(long, value_name = "URL", conflicts_with = "host")]
    pub bmc: Option<String>,
    /// Certificates, PEM, that may sign the controller's own, in place of the system's authorities
    #[arg(long, value_name = "FILE", requires = "bmc")]
    pub bmc_ca: Option<PathBuf>,
    /// File with user:password of the controller, which nobody else may read
    #[arg(long, value_name = "FILE", requires = "bmc")]
    pub bmc_credentials: Option<PathBuf>,
}

/// Collects, evaluates and prints. The exit code follows the verdict.
pub fn run(args: &InspectArgs, global: &Global) -> anyhow::Result<Exit> {
    let host = open_host(args.host.as_deref(), &args.live)?;
    host.begin(&Query::Nvml);
    let signatures = load_signatures(global)?;
    let order = args.claim.load(&signatures)?;
    let mut evidence = thread::scope(|scope| {
        // While NVML is asked a core has nothing to do, and afterwards everything waits for what can be done now.
        scope.spawn(|| {
            if matches!(host.read("/proc/driver/nvidia/version"), Reading::Known(_)) {
                signatures.tables.unpack("gpu/");
            }
        });
        EvidenceBuilder::from(collect::collect(host.as_ref()))
    });
    order.add(&signatures.tables, &mut evidence);
    let inspection = inspection::assess(evidence.finish(), &signatures);
    match global.format {
        Format::Plain | Format::Csv => {
            output::print(&report::inspection_plain(&inspection, &signatures, output::style()))?
        }
        Format::Json => output::print_json(&report::Document::new(&inspection, &signatures))?,
    }
    let exit = inspection.judgement.verdict.into();
    // The process ends now. To give back each piece of its memory before that takes milliseconds.
    std::mem::forget((inspection, signatures));
    Ok(exit)
}

/// This machine, or the recorded one.
pub fn open_host(recorded: Option<&Path>, live: &LiveArgs) -> anyhow::Result<Box<dyn Host>> {
    match recorded {
        None => Ok(Box::new(live_host(live)?)),
        Some(path) => match RecordedHost::open(path) {
            Ok(host) => Ok(Box::new(host)),
            Err(error) => Err(anyhow::Error::new(error).context(
                CliError::usage(format!("{} is not a recorded machine", path.display()))
                    .hint("make one with: yanji capture -o host.tar.zst"),
            )),
        },
    }
}

/// This machine, or the folder that stands for it.
pub fn live_host(args: &LiveArgs) -> anyhow::Result<LiveHost> {
    // The path stays the running build's when the file is replaced meanwhile.
    let mut host = LiveHost::new().with_nvml_reader(PathBuf::from("/proc/self/exe"));
    if let Some(root) = std::env::var_os("YANJI_ROOT").filter(|root| !root.is_empty()) {
        let root = PathBuf::from(root);
        host = host.with_root(&root).with_context(|| {
            CliError::usage(format!("YANJI_ROOT is {}, which cannot be used", root.display()))
                .hint("it names a folder with sys/ and proc/ in it; unset it to look at this machine")
        })?;
    }
    if let Some(url) = &args.bmc {
        host = host.with_bmc(open_bmc(url, args)?);
    }
    Ok(if args.no_rom { host.without_option_roms() } else { host })
}

fn open_bmc(url: &str, args: &LiveArgs) -> anyhow::Result<Bmc> {
    let credentials = || -> anyhow::Result<Option<Credentials>> {
        if let Some(file) = &args.bmc_credentials {
            return Ok(Some(Credentials::from_file(file)?));
        }
        match (std::env::var("YANJI_BMC_USER"), std::env::var("YANJI_BMC_PASSWORD")) {
            (Ok(user), Ok(password)) => {
                let password = Zeroizing::new(password);
                Ok(Some(Credentials::parse(&Zeroizing::new(format!("{user}:{}", *password)))?))
            }
            _ => Ok(None),
        }
    };
    let open = || Ok(Bmc::new(url, credentials()?, args.bmc_ca.as_deref())?);
    open().map_err(|error: anyhow::Error| {
        error.context(
            CliError::usage("the management controller cannot be asked")
                .hint("give https://HOST, --bmc-credentials FILE (user:password, mode 600), and --bmc-ca FILE for a controller that signs its own certificate"),
        )
    })
}

/// The built-in signatures, or those in `--signatures`.
pub fn load_signatures(global: &Global) -> anyhow::Result<Signatures> {
    match &global.signatures {
        None => Ok(Signatures::embedded()?),
        Some(folder) => Signatures::from_folder(folder).map_err(|error| {
            anyhow::Error::new(error).context(
                CliError::usage(format!("cannot use the signatures in {}", folder.display()))
                    .hint("signatures/README.md describes the format; yanji rules lint --signatures DIR checks it"),
            )
        }),
    }
}
