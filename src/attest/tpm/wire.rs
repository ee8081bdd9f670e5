//! The byte order of TPM 2.0 structures: big-endian numbers, and buffers behind a 16-bit length (TPM 2.0 Library, Part 2,
//! chapters 5 and 10.4).

/// Bytes that end before the structure does, or go on after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// It ends too early.
    #[error("ends at byte {at}, where {needed} more are needed")]
    Short {
        /// Where reading stopped.
        at: usize,
        /// How many bytes were wanted there.
        needed: usize,
    },
    /// Something follows.
    #[error("has {bytes} bytes more than it should")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// A field with a value that this reader has no layout for.
    #[error("has {value:#x} as {field}, which is not supported")]
    Unsupported {
        /// Its name in the specification.
        field: &'static str,
        /// What is there.
        value: u32,
    },
}

/// Reads a structure from its beginning.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Begins at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next bytes.
    pub fn bytes(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(WireError::Short { at: self.at, needed: length })?;
        let found = &self.bytes[self.at..end];
        self.at = end;
        Ok(found)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(N)?);
        Ok(array)
    }

    /// UINT8.
    pub fn u8(&mut self) -> Result<u8, WireError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    /// UINT16.
    pub fn u16(&mut self) -> Result<u16, WireError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// UINT32.
    pub fn u32(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// UINT64.
    pub fn u64(&mut self) -> Result<u64, WireError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// A TPM2B: a 16-bit length and so many bytes.
    pub fn sized(&mut self) -> Result<&'a [u8], WireError> {
        let length = self.u16()?;
        self.bytes(length.into())
    }

    /// Nothing may follow.
    pub fn finish(self) -> Result<(), WireError> {
        match self.bytes.len() - self.at {
            0 => Ok(()),
            bytes => Err(WireError::Trailing { bytes }),
        }
    }

    /// What follows.
    pub fn rest(self) -> &'a [u8] {
        &self.bytes[self.at..]
    }
}

/// Writes a structure.
#[derive(Debug, Default, Clone)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Begins with nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// UINT8.
    pub fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    /// UINT16.
    pub fn u16(mut self, value: u16) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// UINT32.
    pub fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// UINT64.
    pub fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// Bytes as they are.
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A TPM2B. What this tool writes is far shorter than its length field can say.
    pub fn sized(self, bytes: &[u8]) -> Self {
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        self.u16(length).bytes(&bytes[..length.into()])
    }

    /// What was written.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}
