//! A small interpreter of PowerShell: walks the syntax tree that a grammar gives, as far as our scripts go. What cmdlets do
//! is up to a [`Host`].
//!
//! A fuse stops a script before its n-th command, as a closed window does.

use std::collections::BTreeMap;
use tree_sitter::{Node, Parser, Tree};

/// A value of the shell. Text is compared without case, as the shell does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Nothing,
    Truth(bool),
    Number(i64),
    Text(String),
    List(Vec<Value>),
    Object(BTreeMap<&'static str, Value>),
}

impl Value {
    pub(crate) fn text(&self) -> String {
        match self {
            Value::Nothing => String::new(),
            Value::Truth(true) => "True".into(),
            Value::Truth(false) => "False".into(),
            Value::Number(number) => number.to_string(),
            Value::Text(text) => text.clone(),
            Value::List(list) => list.iter().map(Value::text).collect::<Vec<_>>().join(" "),
            Value::Object(fields) => fields.get("Identity").map_or("object".into(), Value::text),
        }
    }

    fn holds(&self) -> bool {
        match self {
            Value::Nothing => false,
            Value::Truth(truth) => *truth,
            Value::Number(number) => *number != 0,
            Value::Text(text) => !text.is_empty(),
            Value::List(list) => list.len() > 1 || list.iter().any(Value::holds),
            Value::Object(_) => true,
        }
    }

    fn member(&self, name: &str) -> Value {
        match self {
            Value::Object(fields) => fields.get(name).cloned().unwrap_or_else(|| {
                panic!("{self:?} has no {name}");
            }),
            Value::List(list) if list.len() == 1 => list[0].member(name),
            other => panic!("{other:?} has no {name}"),
        }
    }
}

/// Why a script ended before its end.
#[derive(Debug, PartialEq)]
pub(crate) enum Stop {
    /// An error, as the shell shows it.
    Error(String),
    /// The fuse, in this step.
    Interrupted(usize),
}

/// A cmdlet or program as it was called.
#[derive(Debug, Default)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// Parameters with their values, names in small letters.
    pub(crate) parameters: BTreeMap<String, Value>,
    pub(crate) arguments: Vec<Value>,
    /// All as it stands, for a program.
    pub(crate) words: Vec<String>,
    pub(crate) input: Vec<Value>,
}

/// Who carries out what is not the shell's own.
pub(crate) trait Host {
    fn cmdlet(&mut self, call: &Call) -> Result<Vec<Value>, String>;
    /// Runs a program: its exit code, and what it said.
    fn program(&mut self, call: &Call) -> Option<(i64, String)>;
}

/// Parameters without a value.
const SWITCHES: [&str; 5] = ["status", "configurationonly", "recurse", "force", "whatif"];

pub(crate) struct Shell<'a, H> {
    script: &'a str,
    host: &'a mut H,
    variables: BTreeMap<String, Value>,
    fuse: Option<usize>,
    step: usize,
    /// What was printed.
    pub(crate) said: Vec<String>,
}

fn parse(script: &str) -> Tree {
    let mut parser = Parser::new();
    let language = tree_sitter_pwsh::LANGUAGE.into();
    parser.set_language(&language).unwrap();
    let tree = parser.parse(script, None).unwrap();
    assert!(!tree.root_node().has_error(), "{script}");
    tree
}

/// Children that say something.
fn children(node: Node) -> Vec<Node> {
    let mut walk = node.walk();
    node.named_children(&mut walk)
        .filter(|child| !matches!(child.kind(), "comment" | "command_argument_sep"))
        .collect()
}

fn only(node: Node) -> Node {
    let children = children(node);
    assert_eq!(children.len(), 1, "{node}");
    children[0]
}

impl<'a, H: Host> Shell<'a, H> {
    /// Runs a script from step `from` on, until it ends or the fuse stops it before that command.
    pub(crate) fn run(
        script: &'a str,
        from: usize,
        fuse: Option<usize>,
        host: &'a mut H,
    ) -> (Result<(), Stop>, Vec<String>) {
        let tree = parse(script);
        let variables = BTreeMap::from([("from".to_owned(), Value::Number(from as i64))]);
        let mut shell = Shell {
            script,
            host,
            variables,
            fuse,
            step: 0,
            said: Vec::new(),
        };
        let result = shell.statements(tree.root_node());
        (result, shell.said)
    }

    fn source(&self, node: Node) -> &'a str {
        &self.script[node.byte_range()]
    }

    fn statements(&mut self, node: Node) -> Result<(), Stop> {
        for child in children(node) {
            match child.kind() {
                // `-From` was given.
                "param_block" | "empty_statement" => {}
                "statement_list" | "statement_block" => self.statements(child)?,
                "if_statement" => self.choose(child)?,
                "flow_control_statement" => {
                    let reason = self.pipeline(only(child))?;
                    return Err(Stop::Error(reason.text()));
                }
                "pipeline" => {
                    let value = self.pipeline(child)?;
                    if value != Value::Nothing {
                        self.said.push(value.text());
                    }
                }
                other => panic!("a statement {other}: {}", self.source(child)),
            }
        }
        Ok(())
    }

    fn choose(&mut self, node: Node) -> Result<(), Stop> {
        let parts = children(node);
        let condition = self.pipeline(parts[0])?.holds();
        match (condition, parts.get(2)) {
            (true, _) => self.statements(parts[1]),
            (false, Some(other)) => self.statements(*other),
            (false, None) => Ok(()),
        }
    }

    fn pipeline(&mut self, node: Node) -> Result<Value, Stop> {
        let inner = only(node);
        if inner.kind() == "assignment_expression" {
            let parts = children(inner);
            let name = self.source(parts[0]).trim_start_matches('$');
            let value = self.chain(only(parts[2]))?;
            self.variables.insert(name.to_ascii_lowercase(), value);
            return Ok(Value::Nothing);
        }
        self.chain(inner)
    }

    fn chain(&mut self, node: Node) -> Result<Value, Stop> {
        let mut values = Vec::new();
        for (number, part) in children(node).into_iter().enumerate() {
            values = match part.kind() {
                "command" => self.command(part, values)?,
                _ if number == 0 => match self.value(part)? {
                    Value::List(list) => list,
                    Value::Nothing => Vec::new(),
                    one => vec![one],
                },
                other => panic!("{other} in a pipeline: {}", self.source(part)),
            };
        }
        Ok(match values.len() {
            0 => Value::Nothing,
            1 => values.remove(0),
            _ => Value::List(values),
        })
    }

    fn command(&mut self, node: Node, input: Vec<Value>) -> Result<Vec<Value>, Stop> {
        let parts = children(node);
        let name = self.source(parts[0]).to_owned();
        let elements = parts.get(1).map_or(Vec::new(), |list| children(*list));
        if name == "Where-Object" {
            return self.filter(elements[0], input);
        }
        let mut call = Call {
            name,
            input,
            ..Call::default()
        };
        let mut elements = elements.into_iter().peekable();
        while let Some(element) = elements.next() {
            if element.kind() != "command_parameter" {
                let value = self.argument(element)?;
                call.words.push(value.text());
                call.arguments.push(value);
                continue;
            }
            let parameter = self.source(element);
            call.words.push(parameter.to_owned());
            let parameter = parameter.trim_start_matches('-').to_ascii_lowercase();
            let has_value = !SWITCHES.contains(&&*parameter)
                && elements
                    .peek()
                    .is_some_and(|next| next.kind() != "command_parameter");
            // What a program gets is the same either way.
            let value = match elements.peek().filter(|_| has_value) {
                Some(next) => self.argument(*next)?,
                None => Value::Truth(true),
            };
            if has_value {
                elements.next();
                call.words.push(value.text());
            }
            call.parameters.insert(parameter, value);
        }
        self.carry_out(call)
    }

    fn carry_out(&mut self, call: Call) -> Result<Vec<Value>, Stop> {
        match &*call.name {
            "Out-Null" => return Ok(Vec::new()),
            "Out-String" => {
                let lines: Vec<String> = call.input.iter().map(Value::text).collect();
                return Ok(vec![Value::Text(lines.join("\n"))]);
            }
            "Write-Host" => {
                let text = call.arguments[0].text();
                let number = text.split('.').next().and_then(|start| start.parse().ok());
                self.step = number.unwrap_or(self.step);
                self.said.push(text);
                return Ok(Vec::new());
            }
            "Format-List" | "Format-Table" => return Ok(call.input),
            _ => {}
        }
        if let Some(fuse) = &mut self.fuse {
            match fuse.checked_sub(1) {
                None => return Err(Stop::Interrupted(self.step)),
                Some(left) => *fuse = left,
            }
        }
        if call.name == "Read-Host" {
            let asked = call.arguments[0].text();
            let code = match asked == "Its exit code" {
                true => vec![self.type_at_station()?],
                false => Vec::new(),
            };
            self.said.push(asked);
            return Ok(code);
        }
        if let Some((code, said)) = self.host.program(&call) {
            self.variables
                .insert("lastexitcode".into(), Value::Number(code));
            return Ok(vec![Value::Text(said)]);
        }
        self.host
            .cmdlet(&call)
            .map_err(|error| Stop::Error(format!("{} (step {}): {error}", call.name, self.step)))
    }

    /// A person types the line that was shown at another machine, and tells its exit code.
    fn type_at_station(&mut self) -> Result<Value, Stop> {
        let line = self.said.last().expect("a line is shown").clone();
        let tree = parse(&line);
        let mut other = Shell {
            script: &line,
            host: &mut *self.host,
            variables: self.variables.clone(),
            fuse: None,
            step: self.step,
            said: Vec::new(),
        };
        other.statements(tree.root_node())?;
        let (code, said) = (other.variable("lastexitcode"), other.said);
        self.said.extend(said);
        Ok(Value::Text(code.text()))
    }

    fn filter(&mut self, block: Node, input: Vec<Value>) -> Result<Vec<Value>, Stop> {
        let mut pipeline = block;
        while pipeline.kind() != "pipeline" {
            pipeline = only(pipeline);
        }
        let mut passed = Vec::new();
        for value in input {
            self.variables.insert("_".into(), value.clone());
            if self.pipeline(pipeline)?.holds() {
                passed.push(value);
            }
        }
        Ok(passed)
    }

    /// An argument: an expression, or a word as it stands.
    fn argument(&mut self, node: Node) -> Result<Value, Stop> {
        match node.kind() {
            "generic_token" | "command_argument" => Ok(Value::Text(self.source(node).to_owned())),
            "bareword_argument_list" => {
                let words = children(node).into_iter();
                Ok(Value::List(
                    words
                        .map(|word| Value::Text(self.source(word).to_owned()))
                        .collect(),
                ))
            }
            _ => self.value(node),
        }
    }

    fn value(&mut self, node: Node) -> Result<Value, Stop> {
        let parts = children(node);
        Ok(match node.kind() {
            "unary_expression" | "string_literal" | "integer_literal" => self.value(parts[0])?,
            "parenthesized_expression" => self.pipeline(parts[0])?,
            "expression_with_unary_operator" => {
                assert!(
                    self.source(node).starts_with("-not"),
                    "{}",
                    self.source(node)
                );
                Value::Truth(!self.value(parts[0])?.holds())
            }
            "logical_expression" => {
                let operator = node.child(1).map(|child| self.source(child));
                let left = self.value(parts[0])?.holds();
                match operator {
                    Some("-and") => Value::Truth(left && self.value(parts[1])?.holds()),
                    Some("-or") => Value::Truth(left || self.value(parts[1])?.holds()),
                    other => panic!("{other:?}"),
                }
            }
            "comparison_expression" => {
                let (left, right) = (self.value(parts[0])?, self.value(parts[2])?);
                Value::Truth(compare(&left, self.source(parts[1]), &right))
            }
            "array_literal_expression" => {
                let values: Result<Vec<Value>, Stop> =
                    parts.into_iter().map(|part| self.value(part)).collect();
                Value::List(values?)
            }
            "member_access" => self.value(parts[0])?.member(self.source(parts[1])),
            "variable" => self.variable(self.source(node)),
            "decimal_integer_literal" => Value::Number(self.source(node).parse().unwrap()),
            "verbatim_string_characters" => Value::Text(unquoted(self.source(node))),
            "expandable_string_literal" => {
                let mut text = self.source(node).trim_matches('"').to_owned();
                for part in parts {
                    let name = self.source(part);
                    text = text.replace(name, &self.variable(name).text());
                }
                Value::Text(text)
            }
            other => panic!("an expression {other}: {}", self.source(node)),
        })
    }

    fn variable(&self, name: &str) -> Value {
        match &*name.trim_start_matches('$').to_ascii_lowercase() {
            "true" => Value::Truth(true),
            "false" => Value::Truth(false),
            name => self
                .variables
                .get(name)
                .cloned()
                .unwrap_or_else(|| panic!("no ${name}")),
        }
    }
}

/// What a literal in single quotes says.
fn unquoted(literal: &str) -> String {
    literal[1..literal.len() - 1].replace("''", "'")
}

fn compare(left: &Value, operator: &str, right: &Value) -> bool {
    let same = |left: &Value| left.text().eq_ignore_ascii_case(&right.text());
    let number = |value: &Value| match value {
        Value::Number(number) => *number,
        other => panic!("{other:?} is not a number"),
    };
    match &*operator.to_ascii_lowercase() {
        "-eq" => same(left),
        "-ne" => !same(left),
        "-le" => number(left) <= number(right),
        "-gt" => number(left) > number(right),
        "-contains" => among(left, right),
        "-notcontains" => !among(left, right),
        "-notmatch" => !matches(&left.text(), &right.text()),
        other => panic!("{other}"),
    }
}

fn among(list: &Value, one: &Value) -> bool {
    match list {
        Value::List(list) => list.iter().any(|other| among(other, one)),
        other => other.text().eq_ignore_ascii_case(&one.text()),
    }
}

/// The patterns of our scripts: words in turn, one of several, or with spaces between.
fn matches(text: &str, pattern: &str) -> bool {
    if let Some(words) = pattern
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
    {
        return words.split('|').any(|word| text.contains(word));
    }
    match pattern.split_once(" +") {
        None => text.contains(pattern),
        Some((before, after)) => text.split(before).skip(1).any(|rest| {
            let trimmed = rest.trim_start_matches(' ');
            trimmed.len() < rest.len() && trimmed.starts_with(after)
        }),
    }
}
