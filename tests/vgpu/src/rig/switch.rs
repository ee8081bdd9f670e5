//! An NVSwitch in a rig.

use anyhow::ensure;
use serde::Deserialize;

use super::gpu::{VBIOS_FIELD, bytes};
use crate::attest::{Contents, Identity, Signer, vbios_field};

/// GPUs in a switch's list, and ports behind them.
const GPUS: usize = 8;
const PORTS: usize = 64;

/// What a switch says. It signs whatever nonce it is given, with certificates under the tests' root.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// 32 hexadecimal digits.
    pub uuid: String,
    /// PDI in its certificates: 16 hexadecimal digits.
    pub pdi: String,
    /// PDIs of the GPUs at its links.
    #[serde(default)]
    pub gpus: Vec<String>,
    /// Nonce that it signs whatever it is asked, as a switch elsewhere does: 64 hexadecimal digits.
    pub stale_nonce: Option<String>,
    /// What asking for its report fails with.
    pub report_error: Option<i8>,
    /// Asking for its report never returns.
    #[serde(default)]
    pub hang: bool,
    /// Certificates and key, which the launcher makes.
    #[serde(skip)]
    pub signer: Option<Signer>,
}

impl Switch {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let is_hexadecimal =
            |text: &str, bytes: usize| text.len() == 2 * bytes && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        ensure!(is_hexadecimal(&self.uuid, 16), "nvswitch.uuid: {:?} is not 32 hexadecimal digits", self.uuid);
        let pdis = self.gpus.iter().chain([&self.pdi]);
        ensure!(pdis.into_iter().all(|pdi| is_hexadecimal(pdi, 8)), "nvswitch: a PDI has 16 hexadecimal digits");
        ensure!(self.gpus.len() <= GPUS, "nvswitch.gpus: {} GPUs, and a list has room for {GPUS}", self.gpus.len());
        Ok(())
    }

    /// Who the certificates say it is.
    pub fn identity(&self) -> Identity {
        Identity { chip: "LS_10".to_owned(), kind: 0x50, pdi: self.pdi.clone(), until_year: 9999 }
    }

    /// The 16 bytes of its UUID.
    pub fn uuid_bytes(&self) -> Option<[u8; 16]> {
        bytes(&self.uuid)?.try_into().ok()
    }

    /// `SWX-1A2B3C4D-…`, as NSCQ labels a UUID.
    pub fn label(uuid: &[u8; 16]) -> String {
        let digits: String = uuid.iter().map(|byte| format!("{byte:02X}")).collect();
        let [one, two, three, four, five] = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &digits[part]);
        format!("SWX-{one}-{two}-{three}-{four}-{five}")
    }

    /// The report that it signs over that nonce.
    pub fn attestation_report(&self, nonce: [u8; 32]) -> Option<Vec<u8>> {
        let stale = self.stale_nonce.as_deref().and_then(bytes).and_then(|bytes| bytes.try_into().ok());
        let mut gpus = self.gpus.iter().map(|pdi| bytes(pdi)).collect::<Option<Vec<_>>>()?.concat();
        gpus.resize(GPUS * 8, 0xff);
        gpus.resize(GPUS * 8 + PORTS, 0);
        let fields = vec![(VBIOS_FIELD, vbios_field("96.10.57.00.01")?), (22, bytes(&self.pdi)?), (26, gpus)];
        self.signer.as_ref()?.report(&stale.unwrap_or(nonce), &Contents { measurements: 31, fields }).ok()
    }
}
