//! How text is shown: colours, and which characters the terminal can draw.

/// What the reader's terminal can show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// Colours and bold.
    pub colour: bool,
    /// Characters beyond ASCII. Without it they are escaped, for serial consoles.
    pub unicode: bool,
}

/// What a word means; the colour follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// A heading.
    Heading,
    /// All is well.
    Good,
    /// Look at it.
    Warning,
    /// It is bad.
    Bad,
    /// Less important.
    Faint,
}

impl Style {
    /// Wraps text in the colour of its meaning, when there are colours.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Heading => "1",
            Tone::Good => "32",
            Tone::Warning => "33",
            Tone::Bad => "1;31",
            Tone::Faint => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}
