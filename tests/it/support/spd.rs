//! SPD images made from named fields.
//!
//! ```text
//! let image = SpdImage { serial: [0x42, 0xb2, 0xbf, 0x08], ..SpdImage::ddr5_rdimm() }.build();
//! ```

/// A memory module's EEPROM. All fields are there to be changed; [`SpdImage::build`] fixes the checksums.
#[derive(Debug, Clone)]
pub struct SpdImage {
    pub generation: Generation,
    /// Module type: code of byte 3. 1 RDIMM, 2 UDIMM, 3 SO-DIMM, 4 LRDIMM (11 in DDR3), 7 MRDIMM.
    pub module_type: u8,
    pub die_density_mbit: u32,
    /// Dies in a package.
    pub dies: u8,
    /// The dies of a package are a 3D stack, not several ranks side by side.
    pub stack: bool,
    /// Package ranks.
    pub ranks: u8,
    pub device_width_bits: u8,
    /// Without check bits; in DDR5 over both sub-channels.
    pub bus_width_bits: u16,
    /// In DDR5 over both sub-channels: 8 or 16.
    pub ecc_bits: u8,
    /// Bits of row, column, bank and bank group; what the density needs unless a test sets it.
    pub address_bits: Option<u32>,
    pub tck_ps: u32,
    pub taa_ps: u32,
    pub trcd_ps: u32,
    pub trp_ps: u32,
    pub tras_ps: u32,
    pub trfc1_ps: u32,
    /// DDR3 and DDR4 only.
    pub tfaw_ps: u32,
    /// DDR4 only.
    pub trrd_s_ps: u32,
    /// DDR4 only.
    pub trrd_l_ps: u32,
    /// JEP106 id with parity.
    pub module_maker: [u8; 2],
    pub dram_maker: [u8; 2],
    /// Register's maker; zeros for none.
    pub register_maker: [u8; 2],
    pub location: u8,
    /// Year and week, BCD.
    pub date: [u8; 2],
    pub serial: [u8; 4],
    pub part_number: Vec<u8>,
    pub revision: u8,
    /// What the module's maker left in its area.
    pub maker_area: Vec<u8>,
    /// What is in the end-user area.
    pub user_area: Vec<u8>,
    /// Bytes that are set before the checksums are made.
    pub set: Vec<(usize, u8)>,
    /// Bytes that are set afterwards: damage.
    pub damage: Vec<(usize, u8)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    Ddr3,
    Ddr4,
    Ddr5,
}

impl SpdImage {
    /// Micron's 16 GiB DDR3-1600 RDIMM, 2Rx4.
    pub fn ddr3_rdimm() -> Self {
        Self {
            generation: Generation::Ddr3,
            module_type: 1,
            die_density_mbit: 4 << 10,
            dies: 1,
            stack: false,
            ranks: 2,
            device_width_bits: 4,
            bus_width_bits: 64,
            ecc_bits: 8,
            address_bits: None,
            tck_ps: 1250,
            taa_ps: 13125,
            trcd_ps: 13125,
            trp_ps: 13125,
            tras_ps: 35000,
            trfc1_ps: 260_000,
            tfaw_ps: 30000,
            trrd_s_ps: 0,
            trrd_l_ps: 0,
            module_maker: [0x80, 0x2c],
            dram_maker: [0x80, 0x2c],
            register_maker: [0x80, 0xb3],
            location: 0x0f,
            date: [0x14, 0x22],
            serial: [0x1c, 0x55, 0x0a, 0x7e],
            part_number: b"36KSF2G72PZ-1G6P1".to_vec(),
            revision: 0x50,
            maker_area: Vec::new(),
            user_area: Vec::new(),
            set: Vec::new(),
            damage: Vec::new(),
        }
    }

    /// Samsung's 64 GiB DDR4-3200 RDIMM, 2Rx4: M393A8G40CB4-CWE.
    pub fn ddr4_rdimm() -> Self {
        Self {
            generation: Generation::Ddr4,
            die_density_mbit: 16 << 10,
            tck_ps: 625,
            taa_ps: 13750,
            trcd_ps: 13750,
            trp_ps: 13750,
            tras_ps: 32000,
            trfc1_ps: 350_000,
            tfaw_ps: 10000,
            trrd_s_ps: 2500,
            trrd_l_ps: 4900,
            module_maker: [0x80, 0xce],
            dram_maker: [0x80, 0xce],
            register_maker: [0x86, 0x32],
            location: 0x03,
            date: [0x23, 0x36],
            serial: [0x19, 0x49, 0x39, 0x5d],
            part_number: b"M393A8G40CB4-CWE".to_vec(),
            revision: 0,
            maker_area: b"K12W000\x1d".to_vec(),
            ..Self::ddr3_rdimm()
        }
    }

    /// Samsung's 64 GiB DDR5-4800 RDIMM, 2Rx4: M321R8GA0BB0-CQKZJ.
    pub fn ddr5_rdimm() -> Self {
        Self {
            generation: Generation::Ddr5,
            tck_ps: 416,
            taa_ps: 16000,
            trcd_ps: 16000,
            trp_ps: 16000,
            trfc1_ps: 295_000,
            ecc_bits: 16,
            location: 0x02,
            date: [0x23, 0x31],
            serial: [0x42, 0xb2, 0xbf, 0x08],
            part_number: b"M321R8GA0BB0-CQKZJ".to_vec(),
            maker_area: b"T0IG000".to_vec(),
            ..Self::ddr4_rdimm()
        }
    }

    /// The nine bytes that no two modules share.
    pub fn module_id(&self) -> Vec<u8> {
        [&self.module_maker[..], &[self.location], &self.date, &self.serial].concat()
    }

    /// The image: 256, 512 or 1,024 bytes.
    pub fn build(&self) -> Vec<u8> {
        let mut image = match self.generation {
            Generation::Ddr3 => self.ddr3(),
            Generation::Ddr4 => self.ddr4(),
            Generation::Ddr5 => self.ddr5(),
        };
        put(&mut image, &self.set);
        let sums: &[(usize, usize)] = match self.generation {
            Generation::Ddr3 => &[(0, 117)],
            Generation::Ddr4 => &[(0, 126), (128, 254)],
            Generation::Ddr5 => &[(0, 510)],
        };
        for &(first, end) in sums {
            let sum = crc16(&image[first..end]).to_le_bytes();
            let stored = if self.generation == Generation::Ddr3 { 126 } else { end };
            image[stored..stored + 2].copy_from_slice(&sum);
        }
        put(&mut image, &self.damage);
        image
    }

    /// What a reader gets whose page switch is refused: the first page over and over.
    pub fn build_aliased(&self) -> Vec<u8> {
        let image = self.build();
        let page = if self.generation == Generation::Ddr5 { 128 } else { 256 };
        image[..page].iter().copied().cycle().take(image.len()).collect()
    }

    /// Bits for rows, columns, banks and bank groups of a die.
    fn bits(&self) -> u32 {
        let density_bits = 20 + self.die_density_mbit.next_power_of_two().ilog2();
        self.address_bits.unwrap_or(density_bits - self.device_width_bits.ilog2())
    }

    fn ddr3(&self) -> Vec<u8> {
        let mut image = vec![0; 256];
        let columns = if self.device_width_bits == 4 { 11 } else { 10 };
        let rows = self.bits() - columns - 3;
        image[..4].copy_from_slice(&[0x92, 0x13, 0x0b, self.module_type]);
        image[4] = (self.die_density_mbit / 256).ilog2() as u8;
        image[5] = (rows as u8 - 12) << 3 | (columns as u8 - 9);
        image[7] = (self.ranks - 1) << 3 | (self.device_width_bits / 4).ilog2() as u8;
        image[8] = (self.ecc_bits / 8) << 3 | (self.bus_width_bits / 8).ilog2() as u8;
        image[9..12].copy_from_slice(&[0x11, 1, 8]);
        for (medium, fine, ps) in
            [(12, 34, self.tck_ps), (16, 35, self.taa_ps), (18, 36, self.trcd_ps), (20, 37, self.trp_ps)]
        {
            (image[medium], image[fine]) = medium_and_fine(ps);
        }
        let tras = (self.tras_ps / 125) as u16;
        image[21] = (tras >> 8) as u8;
        image[22] = tras as u8;
        image[24..26].copy_from_slice(&((self.trfc1_ps / 125) as u16).to_le_bytes());
        image[28] = ((self.tfaw_ps / 125) >> 8) as u8;
        image[29] = (self.tfaw_ps / 125) as u8;
        image[65..67].copy_from_slice(&self.register_maker);
        image[117..119].copy_from_slice(&self.module_maker);
        image[119] = self.location;
        image[120..122].copy_from_slice(&self.date);
        image[122..126].copy_from_slice(&self.serial);
        text(&mut image[128..146], &self.part_number, b' ');
        image[146] = self.revision;
        image[148..150].copy_from_slice(&self.dram_maker);
        text(&mut image[150..176], &self.maker_area, 0);
        text(&mut image[176..], &self.user_area, 0);
        image
    }

    fn ddr4(&self) -> Vec<u8> {
        let densities = [256, 512, 1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 12 << 10, 24 << 10];
        let density = densities.iter().position(|mbit| *mbit == self.die_density_mbit).unwrap();
        let mut image = vec![0; 512];
        let groups = if self.device_width_bits == 16 { 1 } else { 2 };
        let rows = self.bits() - 10 - 2 - groups;
        image[..4].copy_from_slice(&[0x23, 0x12, 0x0c, self.module_type]);
        image[4] = (groups as u8) << 6 | density as u8;
        image[5] = (rows as u8 - 12) << 3 | 1;
        let package = if self.dies == 1 { 0 } else { 0x80 | (self.dies - 1) << 4 };
        image[6] = package | if self.stack { 2 } else { u8::from(self.dies > 1) };
        image[11] = 3;
        image[12] = (self.ranks - 1) << 3 | (self.device_width_bits / 4).ilog2() as u8;
        image[13] = (self.ecc_bits / 8) << 3 | (self.bus_width_bits / 8).ilog2() as u8;
        image[14] = 0x80;
        for (medium, fine, ps) in [
            (18, 125, self.tck_ps),
            (19, 124, 1600),
            (24, 123, self.taa_ps),
            (25, 122, self.trcd_ps),
            (26, 121, self.trp_ps),
            (38, 119, self.trrd_s_ps),
            (39, 118, self.trrd_l_ps),
            (40, 117, 5000),
        ] {
            (image[medium], image[fine]) = medium_and_fine(ps);
        }
        image[20..24].copy_from_slice(&[0xf8, 0xff, 0x03, 0]);
        let tras = (self.tras_ps / 125) as u16;
        image[27] = (tras >> 8) as u8;
        image[28] = tras as u8;
        image[30..32].copy_from_slice(&((self.trfc1_ps / 125) as u16).to_le_bytes());
        image[36] = ((self.tfaw_ps / 125) >> 8) as u8;
        image[37] = (self.tfaw_ps / 125) as u8;
        image[128..131].copy_from_slice(&[0x11, 0x11, 0x23]);
        image[133..135].copy_from_slice(&self.register_maker);
        image[135] = 0x41;
        image[320..322].copy_from_slice(&self.module_maker);
        image[322] = self.location;
        image[323..325].copy_from_slice(&self.date);
        image[325..329].copy_from_slice(&self.serial);
        text(&mut image[329..349], &self.part_number, b' ');
        image[349] = self.revision;
        image[350..352].copy_from_slice(&self.dram_maker);
        text(&mut image[353..382], &self.maker_area, 0);
        text(&mut image[384..], &self.user_area, 0);
        image
    }

    fn ddr5(&self) -> Vec<u8> {
        let densities = [0, 4 << 10, 8 << 10, 12 << 10, 16 << 10, 24 << 10, 32 << 10, 48 << 10, 64 << 10];
        let density = densities.iter().position(|mbit| *mbit == self.die_density_mbit).unwrap();
        let mut image = vec![0; 1024];
        let (groups, columns) = if self.device_width_bits == 4 { (3, 11) } else { (3, 10) };
        let rows = self.bits() - columns - 2 - groups;
        image[..4].copy_from_slice(&[0x30, 0x10, 0x12, self.module_type]);
        let dies = match (self.dies, self.stack) {
            (1, _) => 0,
            (2, false) => 1,
            (dies, _) => dies.ilog2() as u8 + 1,
        };
        image[4] = dies << 5 | density as u8;
        image[5] = (columns as u8 - 10) << 5 | (rows as u8 - 16);
        image[6] = ((self.device_width_bits / 4).ilog2() as u8) << 5;
        image[7] = (groups as u8) << 5 | 2;
        let words = [
            (20, self.tck_ps),
            (22, 1010),
            (30, self.taa_ps),
            (32, self.trcd_ps),
            (34, self.trp_ps),
            (36, self.tras_ps),
            (38, self.tras_ps + self.trp_ps),
            (40, 30000),
            (42, self.trfc1_ps / 1000),
        ];
        for (offset, value) in words {
            image[offset..offset + 2].copy_from_slice(&(value as u16).to_le_bytes());
        }
        image[24] = 0x72;
        image[192] = 0x10;
        image[194..198].copy_from_slice(&[0x80, 0xb3, 0x80, 0x21]);
        image[198..202].copy_from_slice(&[0x8a, 0x8c, 0x81, 0x11]);
        image[230..233].copy_from_slice(&[0x0f, 0x10, 0]);
        image[234] = (self.ranks - 1) << 3;
        image[235] = 1 << 5 | (self.ecc_bits / 8) << 3 | ((self.bus_width_bits / 16).ilog2() as u8);
        if self.register_maker != [0, 0] {
            image[240..242].copy_from_slice(&self.register_maker);
            image[242..244].copy_from_slice(&[0x80, 0x21]);
        }
        image[512..514].copy_from_slice(&self.module_maker);
        image[514] = self.location;
        image[515..517].copy_from_slice(&self.date);
        image[517..521].copy_from_slice(&self.serial);
        text(&mut image[521..551], &self.part_number, b' ');
        image[551] = self.revision;
        image[552..554].copy_from_slice(&self.dram_maker);
        image[554] = 0xff;
        text(&mut image[555..640], &self.maker_area, 0);
        text(&mut image[640..], &self.user_area, 0);
        image
    }
}

/// CRC-16, polynomial 1021h, start 0, bit by bit: written apart from the one that is under test.
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0u16, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte) << 8, |sum, _| if sum >> 15 == 1 { sum << 1 ^ 0x1021 } else { sum << 1 })
    })
}

/// Units of 125 ps, rounded up, and the signed rest in ps.
fn medium_and_fine(ps: u32) -> (u8, u8) {
    let medium = ps.div_ceil(125);
    (medium as u8, (ps as i32 - (medium * 125) as i32) as i8 as u8)
}

fn text(place: &mut [u8], text: &[u8], padding: u8) {
    place.fill(padding);
    place[..text.len()].copy_from_slice(text);
}

fn put(image: &mut [u8], bytes: &[(usize, u8)]) {
    for &(offset, byte) in bytes {
        image[offset] = byte;
    }
}
