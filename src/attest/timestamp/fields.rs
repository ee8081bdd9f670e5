//! DER (X.690), one field after the other.

use der::asn1::AnyRef;
use der::oid::ObjectIdentifier;
use der::{Reader, SliceReader, Tag, TagNumber, Tagged};

/// The fields of one value, in their order. Every read borrows and none goes back, so that it takes linear time.
pub(super) struct Fields<'a>(SliceReader<'a>);

/// Where the structure is not what it has to be: what was being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is missing or is not DER")]
pub struct Malformed(pub(super) &'static str);

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8], what: &'static str) -> Result<Self, Malformed> {
        Ok(Self(SliceReader::new(bytes).map_err(|_| Malformed(what))?))
    }

    /// The next field, whatever it is.
    pub(super) fn any(&mut self, what: &'static str) -> Result<AnyRef<'a>, Malformed> {
        self.0.decode().map_err(|_| Malformed(what))
    }

    /// The content of the next field, which has that tag.
    pub(super) fn take(&mut self, tag: Tag, what: &'static str) -> Result<&'a [u8], Malformed> {
        let field = self.any(what)?;
        if field.tag() == tag { Ok(field.value()) } else { Err(Malformed(what)) }
    }

    /// The content of the next field, if it has that tag.
    pub(super) fn optional(&mut self, tag: Tag, what: &'static str) -> Result<Option<&'a [u8]>, Malformed> {
        if self.0.is_finished() || Tag::peek(&self.0).map_err(|_| Malformed(what))? != tag {
            return Ok(None);
        }
        self.take(tag, what).map(Some)
    }

    /// The fields of the next field, which is a SEQUENCE.
    pub(super) fn sequence(&mut self, what: &'static str) -> Result<Self, Malformed> {
        Self::new(self.take(Tag::Sequence, what)?, what)
    }

    pub(super) fn oid(&mut self, what: &'static str) -> Result<ObjectIdentifier, Malformed> {
        let content = self.take(Tag::ObjectIdentifier, what)?;
        ObjectIdentifier::from_bytes(content).map_err(|_| Malformed(what))
    }

    /// The OID of the next field, which is an AlgorithmIdentifier. Its parameters say nothing for the algorithms that are
    /// accepted.
    pub(super) fn algorithm(&mut self, what: &'static str) -> Result<ObjectIdentifier, Malformed> {
        self.sequence(what)?.oid(what)
    }

    /// The next field, with its header.
    pub(super) fn whole(&mut self, what: &'static str) -> Result<&'a [u8], Malformed> {
        self.0.tlv_bytes().map_err(|_| Malformed(what))
    }

    pub(super) fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// Nothing follows.
    pub(super) fn finish(self, what: &'static str) -> Result<(), Malformed> {
        if self.0.is_finished() { Ok(()) } else { Err(Malformed(what)) }
    }
}

/// The tag `[number]` of a constructed value.
pub(super) const fn tagged(number: u32) -> Tag {
    Tag::ContextSpecific { constructed: true, number: TagNumber(number) }
}

/// The tag `[number]` of a primitive value.
pub(super) const fn tagged_primitive(number: u32) -> Tag {
    Tag::ContextSpecific { constructed: false, number: TagNumber(number) }
}
