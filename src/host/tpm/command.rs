//! Commands to a TPM and its answers (TPM 2.0 Library, Part 1, chapter 18, and Part 3).
//!
//! ```text
//! command: u16 tag │ u32 size │ u32 code │ handles │ [u32 size, authorisations] │ parameters
//! answer:  u16 tag │ u32 size │ u32 code │ handles │ [u32 size] parameters │ [authorisations]
//! ```

use crate::attest::tpm::wire::{Reader, WireError, Writer};

/// The largest answer that is read.
pub const MAX_RESPONSE_BYTES: usize = 4096;
/// Tag, size and code.
pub const HEADER_BYTES: usize = 10;

const NO_SESSIONS: u16 = 0x8001;
const SESSIONS: u16 = 0x8002;
const PASSWORD_SESSION: u32 = 0x4000_0009;

/// TPM_CC.
pub mod code {
    pub const CREATE_PRIMARY: u32 = 0x131;
    pub const GET_TIME: u32 = 0x14c;
    pub const ACTIVATE_CREDENTIAL: u32 = 0x147;
    pub const NV_READ: u32 = 0x14e;
    pub const POLICY_SECRET: u32 = 0x151;
    pub const QUOTE: u32 = 0x158;
    pub const FLUSH_CONTEXT: u32 = 0x165;
    pub const NV_READ_PUBLIC: u32 = 0x169;
    pub const READ_PUBLIC: u32 = 0x173;
    pub const START_AUTH_SESSION: u32 = 0x176;
    pub const GET_CAPABILITY: u32 = 0x17a;
    pub const PCR_READ: u32 = 0x17e;
    pub const READ_CLOCK: u32 = 0x181;
}

/// A command, which does not yet know its length.
#[derive(Debug, Clone)]
pub struct Command {
    code: u32,
    handles: Vec<u32>,
    /// The sessions with which handles are used, from the first on.
    sessions: Vec<u32>,
    parameters: Writer,
    /// Handles in its answer.
    answers_handle: bool,
}

impl Command {
    /// A command without authorisation.
    pub fn new(code: u32, handles: &[u32], parameters: Writer) -> Self {
        Self { code, handles: handles.to_vec(), sessions: Vec::new(), parameters, answers_handle: false }
    }

    /// A command whose first handles, so many, are used with an empty password each.
    pub fn authorised(code: u32, handles: &[u32], authorised: usize, parameters: Writer) -> Self {
        Self { sessions: vec![PASSWORD_SESSION; authorised], ..Self::new(code, handles, parameters) }
    }

    /// The same command, whose next handle is used with a policy session, which ends with it.
    pub fn with_policy(mut self, session: u32) -> Self {
        self.sessions.push(session);
        self
    }

    /// The same command, whose answer has a handle.
    pub fn with_answered_handle(self) -> Self {
        Self { answers_handle: true, ..self }
    }

    /// TPM_CC.
    pub fn code(&self) -> u32 {
        self.code
    }

    /// The bytes for the TPM.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut body = self.handles.iter().fold(Writer::new(), |body, handle| body.u32(*handle));
        if !self.sessions.is_empty() {
            let one = |sessions: Writer, session: &u32| sessions.u32(*session).sized(&[]).u8(0).sized(&[]);
            let sessions = self.sessions.iter().fold(Writer::new(), one).finish();
            // A session has 9 bytes.
            body = body.u32(sessions.len() as u32).bytes(&sessions);
        }
        let body = body.bytes(&self.parameters.clone().finish()).finish();
        let tag = if !self.sessions.is_empty() { SESSIONS } else { NO_SESSIONS };
        let size = (HEADER_BYTES + body.len()) as u32;
        Writer::new().u16(tag).u32(size).u32(self.code).bytes(&body).finish()
    }

    /// The handle and the parameters in the TPM's answer, or its error code.
    pub fn read_answer<'a>(&self, answer: &'a [u8]) -> Result<Answer<'a>, AnswerError> {
        let mut reader = Reader::new(answer);
        let (tag, size, code) = (reader.u16()?, reader.u32()?, reader.u32()?);
        if usize::try_from(size) != Ok(answer.len()) {
            return Err(AnswerError::Size { said: size, found: answer.len() });
        }
        if code != 0 {
            return Err(AnswerError::Code(code));
        }
        let handle = if self.answers_handle { Some(reader.u32()?) } else { None };
        let parameters = match tag {
            SESSIONS => {
                let length = usize::try_from(reader.u32()?).unwrap_or(usize::MAX);
                reader.bytes(length)?
            }
            _ => reader.rest(),
        };
        Ok(Answer { handle, parameters })
    }
}

/// A TPM's answer to a command that it executed.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The object that it made.
    pub handle: Option<u32>,
    /// What it says.
    pub parameters: &'a [u8],
}

/// Why an answer says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerError {
    /// TPM_RC.
    Code(u32),
    /// Its size field is wrong.
    Size {
        /// The field.
        said: u32,
        /// Bytes that there are.
        found: usize,
    },
    /// It ends too early.
    Wire(WireError),
}

impl From<WireError> for AnswerError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}
