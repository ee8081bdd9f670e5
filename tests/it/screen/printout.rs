//! What nvidia-smi prints of a card, made from named fields.

/// A card as nvidia-smi shows it. Values are as printed.
#[derive(Debug, Clone)]
pub struct Card {
    pub address: String,
    pub name: String,
    pub serial: String,
    pub uuid: String,
    pub vbios: String,
    pub board_part: Option<String>,
    pub gpu_part: String,
    pub memory: String,
    pub fan: String,
    pub device_id: String,
    pub subsystem_id: String,
    /// Memory of the one partition; `None` without MIG.
    pub mig_slice_mib: Option<u64>,
}

impl Card {
    /// A healthy H100 SXM.
    pub fn h100() -> Self {
        Self {
            address: "00000000:17:00.0".to_owned(),
            name: "NVIDIA H100 80GB HBM3".to_owned(),
            serial: "1650000000001".to_owned(),
            uuid: "GPU-b42dd28e-ffdd-8720-1df0-98bd8cdc05b1".to_owned(),
            vbios: "96.00.74.00.01".to_owned(),
            board_part: Some("692-2G520-0200-000".to_owned()),
            gpu_part: "2330-885-A1".to_owned(),
            memory: "81559 MiB".to_owned(),
            fan: "N/A".to_owned(),
            device_id: "233010DE".to_owned(),
            subsystem_id: "16C110DE".to_owned(),
            mig_slice_mib: None,
        }
    }

    /// Depth, label, value; a heading has no value.
    fn lines(&self) -> Vec<(usize, &'static str, Option<String>)> {
        let some = |text: &str| Some(text.to_owned());
        let mode = if self.mig_slice_mib.is_some() { "Enabled" } else { "Disabled" };
        let mut lines = vec![
            (1, "Product Name", some(&self.name)),
            (1, "MIG Mode", None),
            (2, "Current", some(mode)),
            (2, "Pending", some(mode)),
        ];
        if let Some(mib) = self.mig_slice_mib {
            lines.extend([
                (1, "MIG Device", None),
                (2, "Index", some("0")),
                (2, "FB Memory Usage", None),
                (3, "Total", Some(format!("{mib} MiB"))),
            ]);
        }
        lines.extend([
            (1, "Accounting Mode", some("Disabled")),
            (1, "Serial Number", some(&self.serial)),
            (1, "GPU UUID", some(&self.uuid)),
            (1, "VBIOS Version", some(&self.vbios)),
        ]);
        lines.extend(self.board_part.as_ref().map(|part| (1, "Board Part Number", some(part))));
        lines.extend([
            (1, "GPU Part Number", some(&self.gpu_part)),
            (1, "PCI", None),
            (2, "Device Id", Some(format!("0x{}", self.device_id))),
            (2, "Bus Id", some(&self.address)),
            (2, "Sub System Id", Some(format!("0x{}", self.subsystem_id))),
            (1, "Fan Speed", some(&self.fan)),
            (1, "Clocks Event Reasons", None),
            (2, "HW Slowdown", some("Not Active")),
            (3, "HW Thermal Slowdown", some("Not Active")),
            (1, "FB Memory Usage", None),
            (2, "Total", some(&self.memory)),
            (2, "Used", some("1 MiB")),
            (1, "ECC Mode", None),
            (2, "Current", some("Enabled")),
            (1, "GPU Power Readings", None),
            (2, "Current Power Limit", some("700.00 W")),
            (2, "Default Power Limit", some("700.00 W")),
            (2, "Max Power Limit", some("700.50 W")),
        ]);
        lines
    }

    /// `nvidia-smi -q`, the labels padded to so many columns.
    pub fn text(&self, columns: usize) -> String {
        self.text_of(columns, 1)
    }

    /// The same, on a machine of so many GPUs. Printouts may be joined.
    pub fn text_of(&self, columns: usize, attached: usize) -> String {
        let line = |depth: usize, label: &str, value: &Option<String>| match value {
            Some(value) => {
                let label = format!("{}{label}", " ".repeat(depth * 4));
                format!("{label:columns$} : {value}\n")
            }
            None => format!("{}{label}\n", " ".repeat(depth * 4)),
        };
        let body: String = self.lines().iter().map(|(depth, label, value)| line(*depth, label, value)).collect();
        let head = [("Driver Version", "535.54.03".to_owned()), ("Attached GPUs", attached.to_string())];
        let head: String = head.into_iter().map(|(label, value)| line(0, label, &Some(value))).collect();
        format!("\n==============NVSMI LOG==============\n\n{head}GPU {}\n{body}\n", self.address)
    }

    /// `nvidia-smi -q -x`.
    pub fn xml(&self) -> String {
        Self::xml_of(&[self.element()])
    }

    /// The document around `gpu` elements.
    pub fn xml_of(elements: &[String]) -> String {
        format!(
            "<?xml version=\"1.0\" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM \"nvsmi_device_v12.dtd\">\n<nvidia_smi_log>\n\
             \t<driver_version>535.54.03</driver_version>\n\t<attached_gpus>{}</attached_gpus>\n{}</nvidia_smi_log>\n",
            elements.len(),
            elements.concat()
        )
    }

    /// One `gpu` element.
    pub fn element(&self) -> String {
        let mig = match self.mig_slice_mib {
            Some(mib) => format!(
                "<mig_mode><current_mig>Enabled</current_mig></mig_mode><mig_devices><mig_device><index>0</index>\
                 <fb_memory_usage><total>{mib} MiB</total></fb_memory_usage></mig_device></mig_devices>"
            ),
            None => "<mig_devices>None</mig_devices>".to_owned(),
        };
        let board = self
            .board_part
            .as_ref()
            .map_or(String::new(), |part| format!("<board_part_number>{part}</board_part_number>"));
        format!(
            "\t<gpu id=\"{}\">\n<product_name>{}</product_name>{mig}<serial>{}</serial>\n<uuid>{}</uuid>\
             <vbios_version>{}</vbios_version>{board}<gpu_part_number>{}</gpu_part_number>\
             <pci><pci_device_id>{}</pci_device_id><pci_bus_id>{}</pci_bus_id>\
             <pci_sub_system_id>{}</pci_sub_system_id></pci>\n<fan_speed>{}</fan_speed>\
             <fb_memory_usage><total>{}</total></fb_memory_usage><gpu_power_readings>\
             <default_power_limit>700.00 W</default_power_limit><max_power_limit>700.50 W</max_power_limit>\
             </gpu_power_readings>\n\t</gpu>\n",
            self.address,
            self.name,
            self.serial,
            self.uuid,
            self.vbios,
            self.gpu_part,
            self.device_id,
            self.address,
            self.subsystem_id,
            self.fan,
            self.memory
        )
    }

    /// `nvidia-smi`, with a name that does not fit.
    pub fn table(&self) -> String {
        format!(
            "| NVIDIA-SMI 535.54.03    Driver Version: 535.54.03    CUDA Version: 12.2     |\n\
             |   0  {}...  On | {} Off |                    0 |\n\
             | N/A   30C    P0    70W / 700W |      1MiB / {} |      0%      Default |\n",
            &self.name[..12],
            self.address,
            self.memory.replace(' ', "")
        )
    }

    /// `nvidia-smi --query-gpu --format=csv`.
    pub fn csv(&self) -> String {
        format!(
            "name, serial, pci.bus_id, memory.total [MiB], vbios_version, driver_version\n{}, {}, {}, {}, {}, 535.54.03\n",
            self.name, self.serial, self.address, self.memory, self.vbios
        )
    }
}
