//! Reads the statements of the model's small part of SQL.

use super::Fault;
use super::tables::{self, Table};

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Statement {
    Begin,
    Commit,
    Rollback,
    /// `set local synchronous_commit = local`.
    SetLocal(String, String),
    Select(Select),
    /// `insert into w values ('<client>', <number>)`.
    Insert(String, u64),
    /// `alter role <role> password '<password>'`.
    AlterRole(String, String),
}

/// `select ... from ... where ...`. Without `from` it is one row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Select {
    /// Expressions with their column names.
    pub columns: Vec<(Expression, String)>,
    pub from: Option<&'static Table>,
    pub condition: Option<Expression>,
    /// A name in it that there is not: found when it is run, as what stands before it in a query string is done.
    pub fault: Option<Fault>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    Null,
    Bool(bool),
    Int(i64),
    Real(f64),
    Text(String),
    Column(String),
    /// `count(*)`.
    Count,
    Call(String, Vec<Expression>),
    Operator(&'static str, Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    /// `x is null`, or not.
    IsNull(Box<Expression>, bool),
    /// `x in (a, b)`.
    In(Box<Expression>, Vec<Expression>),
    Cast(Box<Expression>, String),
    Case(Vec<(Expression, Expression)>, Option<Box<Expression>>),
    /// The first column of the only row; NULL where there is none.
    Query(Box<Select>),
    /// `to_jsonb(table) ->> 'column'`: as text; NULL where there is no such column.
    Field(String),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Int(i64),
    Real(f64),
    Text(String),
    Sign(&'static str),
}

const SIGNS: [&str; 19] =
    ["->>", "::", "<=", ">=", "<>", "!=", "||", "(", ")", ",", ";", "=", "<", ">", "+", "-", "*", "/", "."];

/// Operators, from the loosest to the tightest.
const LEVELS: [&[&str]; 5] =
    [&["or"], &["and"], &["=", "<>", "!=", "<=", ">=", "<", ">"], &["+", "-", "||"], &["*", "/"]];
/// The level of comparisons, and of `is` and `in`.
const COMPARISON: usize = 2;

/// Words that end an expression: no names.
const RESERVED: [&str; 16] = [
    "and", "as", "case", "else", "end", "from", "in", "is", "not", "null", "or", "order", "select", "then", "when",
    "where",
];

/// All statements of a query string.
pub(super) fn parse(sql: &str) -> Result<Vec<Statement>, Fault> {
    let mut parser = Parser { tokens: tokens(sql)?, at: 0 };
    let mut statements = Vec::new();
    while parser.at < parser.tokens.len() {
        if !parser.sign(";") {
            statements.push(parser.statement()?);
            parser.end_of_statement()?;
        }
    }
    Ok(statements)
}

fn syntax(near: &str) -> Fault {
    Fault::new("42601", format!("syntax error at or near {near}, or beyond what the model knows"))
}

fn tokens(sql: &str) -> Result<Vec<Token>, Fault> {
    let mut tokens = Vec::new();
    let mut rest = sql.trim_start();
    while let Some(first) = rest.chars().next() {
        let taken = if first == '\'' {
            let (text, taken) = literal(rest)?;
            tokens.push(Token::Text(text));
            taken
        } else if first.is_ascii_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_ascii_lowercase()));
            end
        } else if first.is_ascii_digit() {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let (int, real) = (rest[..end].parse().map(Token::Int), rest[..end].parse().map(Token::Real));
            tokens.push(int.or(real).map_err(|_| syntax(&rest[..end]))?);
            end
        } else {
            let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign)).ok_or_else(|| syntax(rest))?;
            tokens.push(Token::Sign(sign));
            sign.len()
        };
        rest = rest[taken..].trim_start();
    }
    Ok(tokens)
}

/// A literal that `rest` begins with, and how many bytes it takes there. A doubled quote is one.
fn literal(rest: &str) -> Result<(String, usize), Fault> {
    let (mut text, mut at) = (String::new(), 1);
    loop {
        let end = rest[at..].find('\'').ok_or_else(|| syntax("an unterminated string"))?;
        text.push_str(&rest[at..at + end]);
        at += end + 1;
        if !rest[at..].starts_with('\'') {
            return Ok((text, at));
        }
        text.push('\'');
        at += 1;
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        self.at += 1;
        self.tokens.get(self.at - 1).cloned()
    }

    fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(found)) if *found == sign);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(found)) if found == word);
        self.at += usize::from(found);
        found
    }

    fn mistake(&self) -> Fault {
        syntax(&self.peek().map_or_else(|| "the end of the input".to_owned(), |token| format!("{token:?}")))
    }

    fn want_sign(&mut self, sign: &str) -> Result<(), Fault> {
        if self.sign(sign) { Ok(()) } else { Err(self.mistake()) }
    }

    fn want_words(&mut self, words: &[&str]) -> Result<(), Fault> {
        if words.iter().all(|word| self.word(word)) { Ok(()) } else { Err(self.mistake()) }
    }

    fn end_of_statement(&mut self) -> Result<(), Fault> {
        if self.peek().is_none() { Ok(()) } else { self.want_sign(";") }
    }

    fn name(&mut self) -> Result<String, Fault> {
        match self.peek() {
            Some(Token::Word(name)) if !RESERVED.contains(&name.as_str()) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.mistake()),
        }
    }

    fn text(&mut self) -> Result<String, Fault> {
        match self.peek() {
            Some(Token::Text(text)) => {
                let text = text.clone();
                self.at += 1;
                Ok(text)
            }
            _ => Err(self.mistake()),
        }
    }

    fn statement(&mut self) -> Result<Statement, Fault> {
        if self.word("select") {
            return Ok(Statement::Select(self.select()?));
        }
        if self.word("insert") {
            self.want_words(&["into", "w", "values"])?;
            self.want_sign("(")?;
            let client = self.text()?;
            self.want_sign(",")?;
            let Some(Token::Int(number)) = self.next() else { return Err(self.mistake()) };
            self.want_sign(")")?;
            return Ok(Statement::Insert(client, number.unsigned_abs()));
        }
        if self.word("set") {
            self.want_words(&["local"])?;
            let name = self.name()?;
            self.want_sign("=")?;
            return Ok(Statement::SetLocal(name, self.name()?));
        }
        if self.word("alter") {
            self.want_words(&["role"])?;
            let role = self.name()?;
            self.want_words(&["password"])?;
            return Ok(Statement::AlterRole(role, self.text()?));
        }
        Ok(match self.name()?.as_str() {
            "begin" => Statement::Begin,
            "commit" => Statement::Commit,
            "rollback" => Statement::Rollback,
            _ => return Err(self.mistake()),
        })
    }

    fn select(&mut self) -> Result<Select, Fault> {
        let mut columns = Vec::new();
        loop {
            let expression = self.expression(0)?;
            let name = if self.word("as") { self.name()? } else { default_name(&expression) };
            columns.push((expression, name));
            if !self.sign(",") {
                break;
            }
        }
        let (mut from, mut fault) = (None, None);
        if self.word("from") {
            let name = self.name()?;
            from = tables::find(&name);
            if from.is_none() {
                fault = Some(Fault::new("42P01", format!("relation \"{name}\" does not exist")));
            }
            // A function's rows are a table, too.
            if self.sign("(") {
                self.want_sign(")")?;
            }
        }
        let condition = if self.word("where") { Some(self.expression(0)?) } else { None };
        let known = from.map_or(&[][..], |table| table.columns);
        let mut expressions = columns.iter().map(|(expression, _)| expression).chain(&condition);
        let fault = fault.or_else(|| expressions.find_map(|expression| missing_column(expression, known)));
        Ok(Select { columns, from, condition, fault })
    }

    fn expression(&mut self, level: usize) -> Result<Expression, Fault> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.expression(level + 1)?;
        loop {
            let found = operators.iter().find(|operator| self.sign(operator) || self.word(operator)).copied();
            if let Some(operator) = found {
                let right = self.expression(level + 1)?;
                left = Expression::Operator(operator, Box::new(left), Box::new(right));
            } else if level == COMPARISON && self.word("is") {
                let negated = self.word("not");
                self.want_words(&["null"])?;
                left = Expression::IsNull(Box::new(left), negated);
            } else if level == COMPARISON && self.word("in") {
                self.want_sign("(")?;
                left = Expression::In(Box::new(left), self.list()?);
            } else {
                return Ok(left);
            }
        }
    }

    fn unary(&mut self) -> Result<Expression, Fault> {
        if self.word("not") {
            return Ok(Expression::Not(Box::new(self.expression(COMPARISON)?)));
        }
        let mut value = self.primary()?;
        while self.sign("::") {
            let mut kind = self.name()?;
            if self.sign("(") {
                let Some(Token::Int(size)) = self.next() else { return Err(self.mistake()) };
                self.want_sign(")")?;
                kind = format!("{kind}({size})");
            }
            value = Expression::Cast(Box::new(value), kind);
        }
        Ok(value)
    }

    fn primary(&mut self) -> Result<Expression, Fault> {
        if self.sign("(") {
            let inner =
                if self.word("select") { Expression::Query(Box::new(self.select()?)) } else { self.expression(0)? };
            self.want_sign(")")?;
            return Ok(inner);
        }
        if self.word("null") {
            return Ok(Expression::Null);
        }
        if self.word("case") {
            return self.case();
        }
        match self.next() {
            Some(Token::Int(number)) => Ok(Expression::Int(number)),
            Some(Token::Real(number)) => Ok(Expression::Real(number)),
            Some(Token::Text(text)) => Ok(Expression::Text(text)),
            Some(Token::Word(name)) if !RESERVED.contains(&name.as_str()) => self.named(name),
            _ => {
                self.at -= 1;
                Err(self.mistake())
            }
        }
    }

    fn named(&mut self, name: String) -> Result<Expression, Fault> {
        if !self.sign("(") {
            return Ok(match name.as_str() {
                "true" | "false" => Expression::Bool(name == "true"),
                "current_user" => Expression::Call(name, Vec::new()),
                _ => Expression::Column(name),
            });
        }
        if name == "count" && self.sign("*") {
            self.want_sign(")")?;
            return Ok(Expression::Count);
        }
        if name == "to_jsonb" {
            self.name()?;
            self.want_sign(")")?;
            self.want_sign("->>")?;
            return Ok(Expression::Field(self.text()?));
        }
        if name == "extract" {
            // `extract(epoch from interval)`.
            self.want_words(&["epoch", "from"])?;
        }
        Ok(Expression::Call(name, self.list()?))
    }

    fn case(&mut self) -> Result<Expression, Fault> {
        let (mut branches, mut otherwise) = (Vec::new(), None);
        while self.word("when") {
            let condition = self.expression(0)?;
            self.want_words(&["then"])?;
            branches.push((condition, self.expression(0)?));
        }
        if self.word("else") {
            otherwise = Some(Box::new(self.expression(0)?));
        }
        self.want_words(&["end"])?;
        Ok(Expression::Case(branches, otherwise))
    }

    /// The rest of a list whose bracket is open. `string_agg(a, ',' order by a)`: rows come in order here anyhow.
    fn list(&mut self) -> Result<Vec<Expression>, Fault> {
        let mut list = Vec::new();
        if self.sign(")") {
            return Ok(list);
        }
        loop {
            list.push(self.expression(0)?);
            if self.sign(",") {
                continue;
            }
            if self.word("order") {
                self.want_words(&["by"])?;
                self.expression(0)?;
            }
            self.want_sign(")")?;
            return Ok(list);
        }
    }
}

fn missing_column(expression: &Expression, known: &[&str]) -> Option<Fault> {
    let missing = |inner: &Expression| missing_column(inner, known);
    match expression {
        Expression::Column(name) => {
            (!known.contains(&name.as_str())).then(|| Fault::new("42703", format!("column \"{name}\" does not exist")))
        }
        Expression::Call(_, arguments) => arguments.iter().find_map(missing),
        Expression::Operator(_, left, right) => missing(left).or_else(|| missing(right)),
        Expression::Not(inner) | Expression::IsNull(inner, _) | Expression::Cast(inner, _) => missing(inner),
        Expression::In(inner, among) => missing(inner).or_else(|| among.iter().find_map(missing)),
        Expression::Case(branches, otherwise) => {
            let of_branch =
                |(condition, value): &(Expression, Expression)| missing(condition).or_else(|| missing(value));
            branches.iter().find_map(of_branch).or_else(|| otherwise.as_deref().and_then(missing))
        }
        Expression::Query(select) => select.fault.clone(),
        Expression::Null
        | Expression::Bool(_)
        | Expression::Int(_)
        | Expression::Real(_)
        | Expression::Text(_)
        | Expression::Field(_)
        | Expression::Count => None,
    }
}

fn default_name(expression: &Expression) -> String {
    match expression {
        Expression::Column(name) | Expression::Call(name, _) => name.clone(),
        Expression::Count => "count".into(),
        Expression::Cast(inner, kind) => match &**inner {
            Expression::Column(name) | Expression::Call(name, _) => name.clone(),
            _ => kind.clone(),
        },
        Expression::Case(..) => "case".into(),
        Expression::Query(select) => select.columns[0].1.clone(),
        _ => "?column?".into(),
    }
}
