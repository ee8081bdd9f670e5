//! Tokens to statements (PTX ISA 8.8, sections 4 and 5).

use super::lex::{Token, tokens};
use super::{Bad, Ty};

/// A module as written.
#[derive(Debug, Default)]
pub struct Source {
    /// `.version`: major and minor.
    pub version: (u32, u32),
    /// `.target`.
    pub target: String,
    /// Variables outside of functions.
    pub variables: Vec<Variable>,
    /// Functions and kernels that have a body.
    pub functions: Vec<Function>,
}

/// `.entry` or `.func`.
#[derive(Debug)]
pub struct Function {
    pub name: String,
    pub is_entry: bool,
    pub returns: Vec<Variable>,
    pub params: Vec<Variable>,
    /// `.maxntid`, multiplied out.
    pub max_threads: Option<u32>,
    pub body: Vec<(Statement, u32)>,
}

/// A variable in memory.
#[derive(Debug, Clone)]
pub struct Variable {
    pub space: String,
    pub align: u64,
    pub ty: Ty,
    pub name: String,
    pub elements: u64,
    /// Its first bytes.
    pub initial: Vec<Initial>,
}

/// A piece of a variable's first value.
#[derive(Debug, Clone)]
pub enum Initial {
    Bits(u64),
    /// The address of another variable, and a distance from it.
    Address(String, u64),
}

/// A statement of a function.
#[derive(Debug)]
pub enum Statement {
    Label(String),
    Registers { ty: Ty, name: String, count: Option<u32> },
    Variable(Variable),
    Open,
    Close,
    Targets { label: String, targets: Vec<String> },
    Instruction(Instruction),
}

/// An instruction.
#[derive(Debug, Clone)]
pub struct Instruction {
    /// Predicate, and whether it is negated.
    pub guard: Option<(String, bool)>,
    /// With all modifiers.
    pub op: String,
    pub args: Vec<Arg>,
}

/// An operand.
#[derive(Debug, Clone, PartialEq)]
pub enum Arg {
    Name(String),
    Not(String),
    Integer(u64),
    Single(u32),
    Double(u64),
    /// `[base+offset]`.
    Memory(Option<String>, i64),
    Vector(Vec<Arg>),
    /// `d|p`.
    Pair(String, String),
    /// `(a, b)` of a call.
    List(Vec<Arg>),
}

impl Variable {
    pub fn bytes(&self) -> u64 {
        u64::from(self.ty.bytes()) * self.elements
    }
}

struct Parser {
    tokens: Vec<(Token, u32)>,
    at: usize,
}

/// Reads a module.
pub fn parse(text: &str) -> Result<Source, Bad> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0 };
    let mut source = Source::default();
    while parser.peek().is_some() {
        parser.top(&mut source)?;
    }
    if source.version == (0, 0) {
        return Err(Bad::at(1, "no .version"));
    }
    Ok(source)
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn line(&self) -> u32 {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(0, |(_, line)| *line)
    }

    fn bad<T>(&self, what: impl Into<String>) -> Result<T, Bad> {
        Err(Bad::at(self.line(), what))
    }

    fn next(&mut self) -> Result<Token, Bad> {
        let Some((token, _)) = self.tokens.get(self.at) else { return self.bad("the text ends too early") };
        self.at += 1;
        Ok(token.clone())
    }

    fn is_mark(&self, mark: char) -> bool {
        self.peek() == Some(&Token::Mark(mark))
    }

    fn take_mark(&mut self, mark: char) -> bool {
        let is = self.is_mark(mark);
        self.at += usize::from(is);
        is
    }

    fn mark(&mut self, mark: char) -> Result<(), Bad> {
        if self.take_mark(mark) { Ok(()) } else { self.bad(format!("{:?} where {mark} is expected", self.peek())) }
    }

    fn word(&mut self) -> Result<String, Bad> {
        match self.next()? {
            Token::Word(word) => Ok(word),
            other => {
                self.at -= 1;
                self.bad(format!("{other:?} where a name is expected"))
            }
        }
    }

    fn peek_word(&self) -> Option<&str> {
        match self.peek() {
            Some(Token::Word(word)) => Some(word),
            _ => None,
        }
    }

    fn take_word(&mut self, word: &str) -> bool {
        let is = self.peek_word() == Some(word);
        self.at += usize::from(is);
        is
    }

    fn integer(&mut self) -> Result<u64, Bad> {
        let negative = self.take_mark('-');
        match self.next()? {
            Token::Integer(number) => Ok(if negative { number.wrapping_neg() } else { number }),
            other => self.bad(format!("{other:?} where a number is expected")),
        }
    }

    fn top(&mut self, source: &mut Source) -> Result<(), Bad> {
        while self.take_word(".visible")
            || self.take_word(".extern")
            || self.take_word(".weak")
            || self.take_word(".common")
        {}
        let word = self.word()?;
        match word.as_str() {
            ".version" => {
                // "8.8" is read as a fraction.
                let Token::Double(bits) = self.next()? else { return self.bad("no version") };
                let version = f64::from_bits(bits);
                source.version = (version as u32, ((version.fract() * 10.0).round()) as u32);
            }
            ".target" => {
                source.target = self.word()?;
                while self.take_mark(',') {
                    self.word()?;
                }
            }
            ".address_size" => {
                if self.integer()? != 64 {
                    return self.bad("only addresses of 64 bits");
                }
            }
            ".entry" | ".func" => {
                let function = self.function(word == ".entry")?;
                source.functions.extend(function);
            }
            ".global" | ".const" | ".shared" => {
                let variable = self.variable(word)?;
                self.mark(';')?;
                source.variables.push(variable);
            }
            ".section" => {
                self.word()?;
                self.mark('{')?;
                while !self.take_mark('}') {
                    self.next()?;
                }
            }
            ".pragma" => {
                self.next()?;
                self.mark(';')?;
            }
            _ => return self.bad(format!("unknown directive {word}")),
        }
        Ok(())
    }

    /// What follows `.entry` or `.func`. A declaration without a body is nothing.
    fn function(&mut self, is_entry: bool) -> Result<Option<Function>, Bad> {
        let mut function = Function {
            name: String::new(),
            is_entry,
            returns: vec![],
            params: vec![],
            max_threads: None,
            body: vec![],
        };
        if self.is_mark('(') {
            function.returns = self.params()?;
        }
        function.name = self.word()?;
        if self.is_mark('(') {
            function.params = self.params()?;
        }
        loop {
            if self.take_mark(';') {
                return Ok(None);
            }
            if self.take_mark('{') {
                break;
            }
            let word = self.word()?;
            match word.as_str() {
                ".maxntid" | ".reqntid" | ".maxnreg" | ".minnctapersm" | ".maxnctapersm" => {
                    let mut product = self.integer()?;
                    while self.take_mark(',') {
                        product *= self.integer()?;
                    }
                    if matches!(word.as_str(), ".maxntid" | ".reqntid") {
                        function.max_threads = Some(product as u32);
                    }
                }
                ".noreturn" => {}
                ".pragma" => {
                    self.next()?;
                    self.mark(';')?;
                }
                _ => return self.bad(format!("unknown directive {word}")),
            }
        }
        let mut depth = 1;
        while depth > 0 {
            let line = self.line();
            for statement in self.statement()? {
                depth += match statement {
                    Statement::Open => 1,
                    Statement::Close => -1,
                    _ => 0,
                };
                function.body.push((statement, line));
            }
        }
        function.body.pop();
        Ok(Some(function))
    }

    fn params(&mut self) -> Result<Vec<Variable>, Bad> {
        self.mark('(')?;
        let mut params = Vec::new();
        while !self.take_mark(')') {
            let space = self.word()?;
            if space != ".param" {
                return self.bad(format!("a parameter in {space}"));
            }
            params.push(self.variable(space)?);
            self.take_mark(',');
        }
        Ok(params)
    }

    /// What follows the space of a variable.
    fn variable(&mut self, space: String) -> Result<Variable, Bad> {
        let mut align = None;
        let mut vector = 1;
        let ty = loop {
            let word = self.word()?;
            match word.as_str() {
                ".align" => align = Some(self.integer()?),
                ".v2" => vector = 2,
                ".v4" => vector = 4,
                ".ptr" | ".global" | ".const" | ".shared" | ".local" | ".noalias" => {}
                _ => match word.strip_prefix('.').and_then(Ty::parse) {
                    Some(ty) => break ty,
                    None => return self.bad(format!("unknown type {word}")),
                },
            }
        };
        // `.param .u64 .ptr .align 1 name`
        while self.peek_word().is_some_and(|it| it.starts_with('.')) {
            if self.word()? == ".align" {
                self.integer()?;
            }
        }
        let name = self.word()?;
        let mut elements = vector;
        while self.take_mark('[') {
            // Without a length it is as long as the launch says.
            elements *= if self.is_mark(']') { 0 } else { self.integer()? };
            self.mark(']')?;
        }
        let mut initial = Vec::new();
        if self.take_mark('=') {
            self.initial(&mut initial)?;
        }
        let align = align.unwrap_or(u64::from(ty.bytes()) * vector);
        if !align.is_power_of_two() || align > 4096 || elements > 1 << 32 {
            return self.bad(format!("variable {name}"));
        }
        Ok(Variable { space, align, ty, name, elements, initial })
    }

    fn initial(&mut self, to: &mut Vec<Initial>) -> Result<(), Bad> {
        if self.take_mark('{') {
            while !self.take_mark('}') {
                self.initial(to)?;
                self.take_mark(',');
            }
            return Ok(());
        }
        let negative = self.take_mark('-');
        to.push(match self.next()? {
            Token::Integer(bits) => Initial::Bits(if negative { bits.wrapping_neg() } else { bits }),
            Token::Single(bits) => Initial::Bits(bits.into()),
            Token::Double(bits) => Initial::Bits(bits),
            Token::Word(name) if name == "generic" => {
                self.mark('(')?;
                let name = self.word()?;
                self.mark(')')?;
                Initial::Address(name, self.distance()?)
            }
            Token::Word(name) => Initial::Address(name, self.distance()?),
            other => return self.bad(format!("{other:?} as a value")),
        });
        Ok(())
    }

    fn distance(&mut self) -> Result<u64, Bad> {
        if self.take_mark('+') { self.integer() } else { Ok(0) }
    }

    fn statement(&mut self) -> Result<Vec<Statement>, Bad> {
        if self.take_mark('{') {
            return Ok(vec![Statement::Open]);
        }
        if self.take_mark('}') {
            return Ok(vec![Statement::Close]);
        }
        if self.take_mark(';') {
            return Ok(vec![]);
        }
        if self.take_mark('@') {
            let negated = self.take_mark('!');
            let guard = self.word()?;
            let op = self.word()?;
            return Ok(vec![self.instruction(Some((guard, negated)), op)?]);
        }
        let word = self.word()?;
        if self.take_mark(':') {
            if self.take_word(".branchtargets") {
                let mut targets = vec![self.word()?];
                while self.take_mark(',') {
                    targets.push(self.word()?);
                }
                self.mark(';')?;
                return Ok(vec![Statement::Targets { label: word, targets }]);
            }
            return Ok(vec![Statement::Label(word)]);
        }
        match word.as_str() {
            ".reg" => self.registers(),
            ".local" | ".shared" | ".param" | ".global" | ".const" => {
                let variable = self.variable(word)?;
                self.mark(';')?;
                Ok(vec![Statement::Variable(variable)])
            }
            ".pragma" => {
                self.next()?;
                self.mark(';')?;
                Ok(vec![])
            }
            _ if word.starts_with('.') => self.bad(format!("unknown directive {word}")),
            _ => Ok(vec![self.instruction(None, word)?]),
        }
    }

    fn registers(&mut self) -> Result<Vec<Statement>, Bad> {
        let word = self.word()?;
        let Some(ty) = word.strip_prefix('.').and_then(Ty::parse) else {
            return self.bad(format!("registers of unknown type {word}"));
        };
        let mut declared = Vec::new();
        loop {
            let name = self.word()?;
            let mut count = None;
            if self.take_mark('<') {
                count = Some(self.integer()? as u32);
                self.mark('>')?;
            }
            declared.push(Statement::Registers { ty, name, count });
            if self.take_mark(';') {
                return Ok(declared);
            }
            self.mark(',')?;
        }
    }

    fn instruction(&mut self, guard: Option<(String, bool)>, op: String) -> Result<Statement, Bad> {
        let mut args = Vec::new();
        if !self.take_mark(';') {
            loop {
                args.push(self.arg()?);
                if self.take_mark(';') {
                    break;
                }
                self.mark(',')?;
            }
        }
        Ok(Statement::Instruction(Instruction { guard, op, args }))
    }

    fn arg(&mut self) -> Result<Arg, Bad> {
        let mark = match self.peek() {
            Some(Token::Mark(mark)) => *mark,
            _ => ' ',
        };
        match mark {
            '{' => Ok(Arg::Vector(self.list('{', '}')?)),
            '(' => Ok(Arg::List(self.list('(', ')')?)),
            '[' => self.memory(),
            '!' => {
                self.at += 1;
                Ok(Arg::Not(self.word()?))
            }
            '-' => match (self.next()?, self.next()?) {
                (_, Token::Integer(number)) => Ok(Arg::Integer(number.wrapping_neg())),
                (_, Token::Double(bits)) => Ok(Arg::Double(bits ^ 1 << 63)),
                (_, other) => self.bad(format!("-{other:?}")),
            },
            _ => match self.next()? {
                Token::Integer(number) => Ok(Arg::Integer(number)),
                Token::Single(bits) => Ok(Arg::Single(bits)),
                Token::Double(bits) => Ok(Arg::Double(bits)),
                Token::Word(name) if self.take_mark('|') => Ok(Arg::Pair(name, self.word()?)),
                Token::Word(name) if self.is_mark('+') && !name.starts_with('%') => {
                    self.at += 1;
                    Ok(Arg::Memory(Some(name), self.integer()? as i64))
                }
                Token::Word(name) => Ok(Arg::Name(name)),
                other => self.bad(format!("{other:?} as an operand")),
            },
        }
    }

    fn list(&mut self, open: char, close: char) -> Result<Vec<Arg>, Bad> {
        self.mark(open)?;
        let mut list = Vec::new();
        while !self.take_mark(close) {
            list.push(self.arg()?);
            if !self.is_mark(close) {
                self.mark(',')?;
            }
        }
        Ok(list)
    }

    fn memory(&mut self) -> Result<Arg, Bad> {
        self.mark('[')?;
        let base = if self.peek_word().is_some() { Some(self.word()?) } else { None };
        let offset = if base.is_none() || self.take_mark('+') || self.is_mark('-') { self.integer()? } else { 0 };
        self.mark(']')?;
        Ok(Arg::Memory(base, offset as i64))
    }
}
