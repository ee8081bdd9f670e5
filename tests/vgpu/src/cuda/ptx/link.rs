//! Statements to programs: memory for the variables, places for the registers, positions for the labels, and the functions
//! that a kernel calls behind it. Recursion is refused: every function has its registers once.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::Bad;
use super::decode::decode;
use super::frame::{Files, Resolver, Scope, Scopes, Symbol, declare};
use super::parse::{Arg, Function, Initial, Source, Statement, Variable, parse};
use crate::cuda::exec::program::{Class, Code, Ins, PredRef, Program, Space};

/// A module that is loaded.
#[derive(Debug)]
pub struct Module {
    /// `.version`.
    pub version: (u32, u32),
    /// `.target`.
    pub target: String,
    pub programs: Vec<Arc<Program>>,
    pub globals: Vec<GlobalVariable>,
}

/// A variable in device memory.
#[derive(Debug)]
pub struct GlobalVariable {
    pub name: String,
    pub address: u64,
    pub initial: Vec<u8>,
}

/// Loads a module. `allocate` gives memory of that many bytes for a variable, aligned to 256.
pub fn load(text: &str, mut allocate: impl FnMut(u64) -> Option<u64>) -> Result<Module, Bad> {
    let source = parse(text)?;
    let mut symbols = HashMap::new();
    let mut globals = Vec::new();
    let on_device = |it: &Variable| it.space == ".global" || it.space == ".const";
    let local = source.functions.iter().flat_map(|it| &it.body).filter_map(|(statement, _)| match statement {
        Statement::Variable(variable) => Some(variable),
        _ => None,
    });
    let variables: Vec<&Variable> = source.variables.iter().chain(local).filter(|it| on_device(it)).collect();
    for variable in &variables {
        let address =
            allocate(variable.bytes().max(1)).ok_or_else(|| Bad::at(0, format!("no memory for {}", variable.name)))?;
        symbols.insert(variable.name.clone(), Symbol::Variable(Space::Global, address));
    }
    for variable in &variables {
        let Some(Symbol::Variable(_, address)) = symbols.get(&variable.name).copied() else { continue };
        globals.push(GlobalVariable {
            name: variable.name.clone(),
            address,
            initial: first_bytes(variable, &symbols)?,
        });
    }
    let entries = source.functions.iter().enumerate().filter(|(_, it)| it.is_entry);
    let programs = entries.map(|(index, _)| link(&source, index, &symbols).map(Arc::new)).collect::<Result<_, _>>()?;
    Ok(Module { version: source.version, target: source.target.clone(), programs, globals })
}

fn first_bytes(variable: &Variable, symbols: &HashMap<String, Symbol>) -> Result<Vec<u8>, Bad> {
    let width = variable.ty.bytes() as usize;
    let mut bytes = Vec::new();
    for value in &variable.initial {
        let bits = match value {
            Initial::Bits(bits) => *bits,
            Initial::Address(name, offset) => match symbols.get(name) {
                Some(Symbol::Variable(_, address)) => address.wrapping_add(*offset),
                _ => return Err(Bad::at(0, format!("the address of {name} in {}", variable.name))),
            },
        };
        bytes.extend_from_slice(&bits.to_le_bytes()[..width]);
    }
    bytes.resize(variable.bytes() as usize, 0);
    Ok(bytes)
}

/// Address and size of each parameter in the function's own memory.
type Places = Vec<(u64, u64)>;
/// Start, register to come back by, parameters and results of a function.
type Callee = (u32, u32, Places, Places);

/// A function while its program is put together.
struct Part<'a> {
    function: &'a Function,
    scopes: Scopes,
    /// Block of each statement.
    blocks: Vec<usize>,
    start: u32,
    /// Register with the position to come back to.
    back: u32,
    /// The carry flag.
    flag: u32,
    params: Places,
    returns: Places,
}

fn link(source: &Source, entry: usize, globals: &HashMap<String, Symbol>) -> Result<Program, Bad> {
    let order = reachable(source, entry)?;
    let kernel = &source.functions[entry];
    let mut files = Files::default();
    let mut shared = Layout::default();
    let mut local = Layout::default();
    let mut globals = globals.clone();
    let used: BTreeSet<&str> = order.iter().flat_map(|&it| names_in(&source.functions[it])).collect();
    let mut dynamic: Vec<&Variable> = Vec::new();
    for variable in source.variables.iter().filter(|it| it.space == ".shared" && used.contains(it.name.as_str())) {
        if variable.elements == 0 {
            dynamic.push(variable);
        } else {
            globals.insert(variable.name.clone(), Symbol::Variable(Space::Shared, shared.place(variable)));
        }
    }
    let mut parts: Vec<Part<'_>> = Vec::new();
    let mut position = 0;
    for &index in &order {
        let function = &source.functions[index];
        let part = outline(function, position, &mut files, &mut shared, &mut local)?;
        position += length(function);
        // The end of a body is a return.
        position += 1;
        parts.push(part);
    }
    // What the launch adds comes behind everything.
    let end = shared.end.next_multiple_of(16);
    for variable in dynamic {
        globals.insert(variable.name.clone(), Symbol::Variable(Space::Shared, end));
    }
    let mut params = Layout::default();
    let mut places = Vec::new();
    for variable in &kernel.params {
        let at = params.place(variable);
        places.push((at as u32, variable.bytes() as u32));
        parts[0].scopes.0[0].names.insert(variable.name.clone(), Symbol::Variable(Space::Param, at));
    }
    let callees: HashMap<&str, Callee> = parts
        .iter()
        .map(|it| (it.function.name.as_str(), (it.start, it.back, it.params.clone(), it.returns.clone())))
        .collect();
    let mut code = Vec::new();
    let mut texts = Vec::new();
    for part in &parts {
        for (at, (statement, line)) in part.function.body.iter().enumerate() {
            let Statement::Instruction(instruction) = statement else { continue };
            let mut resolver = Resolver {
                files: &mut files,
                scopes: &part.scopes,
                scope: part.blocks[at],
                globals: &globals,
                line: *line,
            };
            let guard = match &instruction.guard {
                None => None,
                Some((name, negated)) => Some(PredRef { slot: resolver.predicate(name)?, negated: *negated }),
            };
            let text = || format!("{} {:?}", instruction.op, instruction.args);
            if instruction.op.split('.').next() == Some("call") {
                let before = code.len();
                call(&mut resolver, &instruction.args, guard, &callees, &mut code)?;
                texts.resize_with(texts.len() + code.len() - before, text);
                continue;
            }
            let (class, operation) = match instruction.op.as_str() {
                "ret" | "ret.uni" if !part.function.is_entry => (Class::Control, Code::Return(part.back)),
                _ => decode(&mut resolver, instruction, part.flag)
                    .map_err(|bad| Bad::at(*line, format!("{}: {}", instruction.op, bad.what)))?,
            };
            let differs = names_of(&instruction.args).iter().any(|it| it.starts_with("%ctaid") || *it == "%smid");
            let looks_out = differs || operation.looks_out();
            code.push(Ins { guard, class, code: operation, looks_out });
            texts.push(text());
        }
        let end = if part.function.is_entry { Code::Exit } else { Code::Return(part.back) };
        code.push(Ins { guard: None, class: Class::Control, code: end, looks_out: false });
        texts.push("ret".into());
    }
    Ok(Program {
        name: kernel.name.clone(),
        code,
        texts,
        file: files.initial(),
        specials: files.specials.clone(),
        params: places,
        param_bytes: params.end as u32,
        shared_bytes: shared.end as u32,
        local_bytes: local.end.next_multiple_of(16) as u32,
        max_threads: kernel.max_threads.unwrap_or(1024),
        registers: files.words.min(255),
    })
}

/// Variables one behind the other.
#[derive(Debug, Default)]
struct Layout {
    end: u64,
}

impl Layout {
    fn place(&mut self, variable: &Variable) -> u64 {
        let at = self.end.next_multiple_of(variable.align);
        self.end = at + variable.bytes();
        at
    }
}

/// Instructions that a function becomes.
fn length(function: &Function) -> u32 {
    function.body.iter().map(|(statement, _)| size(statement)).sum()
}

fn size(statement: &Statement) -> u32 {
    let Statement::Instruction(instruction) = statement else { return 0 };
    if instruction.op.split('.').next() != Some("call") {
        return 1;
    }
    // Operands are copied to the function and back.
    1 + instruction.args.iter().map(|arg| if let Arg::List(list) = arg { list.len() as u32 } else { 0 }).sum::<u32>()
}

fn names_in(function: &Function) -> impl Iterator<Item = &str> {
    function.body.iter().flat_map(|(statement, _)| match statement {
        Statement::Instruction(instruction) => names_of(&instruction.args),
        _ => Vec::new(),
    })
}

fn names_of(args: &[Arg]) -> Vec<&str> {
    fn names<'a>(arg: &'a Arg, to: &mut Vec<&'a str>) {
        match arg {
            Arg::Name(name) | Arg::Memory(Some(name), _) => to.push(name),
            Arg::Vector(list) | Arg::List(list) => list.iter().for_each(|it| names(it, to)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    args.iter().for_each(|arg| names(arg, &mut found));
    found
}

/// The kernel and what it calls, each once.
fn reachable(source: &Source, entry: usize) -> Result<Vec<usize>, Bad> {
    fn visit(source: &Source, at: usize, path: &mut Vec<usize>, order: &mut Vec<usize>) -> Result<(), Bad> {
        if path.contains(&at) {
            return Err(Bad::at(0, format!("{} calls itself", source.functions[at].name)));
        }
        if !order.contains(&at) {
            order.push(at);
        }
        path.push(at);
        for (statement, line) in &source.functions[at].body {
            let Statement::Instruction(instruction) = statement else { continue };
            if instruction.op.split('.').next() != Some("call") {
                continue;
            }
            let name = callee(&instruction.args).ok_or_else(|| Bad::at(*line, "a call by a register"))?;
            let found = source.functions.iter().position(|it| it.name == name);
            let found = found.ok_or_else(|| Bad::at(*line, format!("no function {name}")))?;
            visit(source, found, path, order)?;
        }
        path.pop();
        Ok(())
    }
    let mut order = Vec::new();
    visit(source, entry, &mut Vec::new(), &mut order)?;
    Ok(order)
}

fn callee(args: &[Arg]) -> Option<&str> {
    args.iter().find_map(|arg| match arg {
        Arg::Name(name) if !name.starts_with('%') => Some(name.as_str()),
        _ => None,
    })
}

/// Blocks, registers, variables and labels of a function.
fn outline<'a>(
    function: &'a Function,
    start: u32,
    files: &mut Files,
    shared: &mut Layout,
    local: &mut Layout,
) -> Result<Part<'a>, Bad> {
    let mut scopes = vec![Scope::default()];
    let mut blocks = Vec::new();
    let mut now = 0;
    let mut position = start;
    let (mut params, mut returns) = (Vec::new(), Vec::new());
    if !function.is_entry {
        for (list, places) in [(&function.params, &mut params), (&function.returns, &mut returns)] {
            for variable in list {
                let at = local.place(variable);
                places.push((at, variable.bytes()));
                scopes[0].names.insert(variable.name.clone(), Symbol::Variable(Space::Local, at));
            }
        }
    }
    for (statement, line) in &function.body {
        blocks.push(now);
        match statement {
            Statement::Open => {
                scopes.push(Scope { parent: Some(now), ..Scope::default() });
                now = scopes.len() - 1;
            }
            Statement::Close => {
                now = scopes[now].parent.ok_or_else(|| Bad::at(*line, "a brace too many"))?;
            }
            Statement::Label(name) => {
                scopes[now].labels.insert(name.clone(), position);
            }
            Statement::Targets { label, targets } => {
                scopes[now].tables.insert(label.clone(), targets.clone());
            }
            Statement::Registers { ty, name, count } => {
                declare(files, &mut scopes[now], *ty, name, *count, *line)?;
            }
            Statement::Variable(variable) => {
                let symbol = match variable.space.as_str() {
                    ".shared" => Symbol::Variable(Space::Shared, shared.place(variable)),
                    ".local" | ".param" => Symbol::Variable(Space::Local, local.place(variable)),
                    // Laid out with the module.
                    _ => continue,
                };
                scopes[now].names.insert(variable.name.clone(), symbol);
            }
            Statement::Instruction(_) => {}
        }
        position += size(statement);
    }
    let back = files.register(4).slot;
    let flag = files.predicate();
    Ok(Part { function, scopes: Scopes(scopes), blocks, start, back, flag, params, returns })
}

/// A call: operands into the function's own variables, the call, results back.
fn call(
    resolver: &mut Resolver<'_>,
    args: &[Arg],
    guard: Option<PredRef>,
    callees: &HashMap<&str, Callee>,
    code: &mut Vec<Ins>,
) -> Result<(), Bad> {
    let name = callee(args).unwrap_or_default();
    let Some((target, back, params, returns)) = callees.get(name) else {
        return resolver.bad(format!("no function {name}"));
    };
    let before = args.iter().position(|arg| matches!(arg, Arg::Name(_))).unwrap_or(0);
    let list = |range: &[Arg]| -> Vec<Arg> {
        range
            .iter()
            .filter_map(|arg| if let Arg::List(list) = arg { Some(list.clone()) } else { None })
            .flatten()
            .collect()
    };
    let (results, operands) = (list(&args[..before]), list(&args[before + 1..]));
    if results.len() != returns.len() || operands.len() != params.len() {
        return resolver.bad(format!("{name} has other parameters"));
    }
    let copy =
        |resolver: &mut Resolver<'_>, code: &mut Vec<Ins>, arg: &Arg, (there, bytes): (u64, u64), is_operand: bool| {
            let Arg::Name(name) = arg else { return resolver.bad(format!("{arg:?} as a parameter")) };
            let (address, space) = resolver.address(&Arg::Memory(Some(name.clone()), 0))?;
            if space != Some(Space::Local) {
                return resolver.bad(format!("{name} as a parameter"));
            }
            let here = address.offset as u64;
            let (to, from) = if is_operand { (there, here) } else { (here, there) };
            code.push(Ins {
                guard,
                class: Class::Memory,
                code: Code::CopyLocal { to: to as u32, from: from as u32, bytes: bytes as u32 },
                looks_out: false,
            });
            Ok(())
        };
    for (arg, &there) in operands.iter().zip(params) {
        copy(resolver, code, arg, there, true)?;
    }
    let call = Code::Call { target: *target, back: *back };
    code.push(Ins { guard, class: Class::Control, code: call, looks_out: false });
    for (arg, &there) in results.iter().zip(returns) {
        copy(resolver, code, arg, there, false)?;
    }
    Ok(())
}
