//! SMBIOS structures made from named fields.

/// One SMBIOS structure.
#[derive(Debug, Clone)]
pub struct Structure {
    formatted: Vec<u8>,
    strings: Vec<u8>,
    count: u8,
}

impl Structure {
    /// A structure whose formatted area has `length` bytes, all zero behind the header.
    pub fn new(kind: u8, handle: u16, length: u8) -> Self {
        let mut formatted = vec![0; length.into()];
        formatted[0] = kind;
        formatted[1] = length;
        formatted[2..4].copy_from_slice(&handle.to_le_bytes());
        Self { formatted, strings: Vec::new(), count: 0 }
    }

    /// Sets bytes of the formatted area.
    pub fn put(mut self, offset: usize, bytes: &[u8]) -> Self {
        self.formatted[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Adds a string and points a field to it; an empty one leaves the field without.
    pub fn text(mut self, offset: usize, text: &str) -> Self {
        if !text.is_empty() {
            self.count += 1;
            self.formatted[offset] = self.count;
            self.strings.extend_from_slice(text.as_bytes());
            self.strings.push(0);
        }
        self
    }

    /// The structure with its strings.
    pub fn bytes(mut self) -> Vec<u8> {
        if self.strings.is_empty() {
            self.strings.push(0);
        }
        self.formatted.extend(self.strings);
        self.formatted.push(0);
        self.formatted
    }
}
