//! Runs the content of PowerDNS `LUA` records by pattern: the forms that a real server runs give addresses,
//! everything else is [`Broken`], which the server answers with SERVFAIL.
//!
//! No Lua interpreter, and no more of the record functions than one call of `ifurlup`, `pickclosest`,
//! `pickwhashed` or `pickrandom`. The model knows no geography: closest is the first.

use std::net::IpAddr;

/// Why a query for the record fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Lua record: {0}")]
pub struct Broken(pub String);

/// A content that the API refuses (422).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Parsing record content: {0}")]
pub struct Malformed(&'static str);

/// What a record's program may ask while it runs.
pub struct Circumstances<'a> {
    /// Who asks the query.
    pub asker: IpAddr,
    /// Whether the last check of this URL at this address succeeded; false where none has ended.
    pub up: &'a mut dyn FnMut(&str, IpAddr) -> bool,
    /// A number below this one.
    pub random: &'a mut dyn FnMut(usize) -> usize,
}

/// Takes `A "program"` apart: the type it answers, and the program. Double quotes inside need a backslash.
pub fn split(content: &str) -> Result<(&str, &str), Malformed> {
    let (kind, quoted) = content.trim().split_once(' ').ok_or(Malformed("expected a type and a quoted program"))?;
    let program = quoted
        .trim()
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .ok_or(Malformed("the program is not in double quotes"))?;
    let mut escaped = false;
    for c in program.chars() {
        match c {
            '"' if !escaped => return Err(Malformed("unescaped double quote inside the program")),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    Ok((kind, program))
}

/// The address that the program answers.
pub fn run(program: &str, circumstances: &mut Circumstances<'_>) -> Result<IpAddr, Broken> {
    // A real server does not take the backslashes away, so what it runs is no Lua.
    if program.contains('\\') {
        return Err(Broken("unexpected symbol near '\\'".into()));
    }
    let mut parser = Parser { rest: program };
    let name = parser.name().ok_or_else(|| Broken("expected a function".into()))?;
    let arguments = parser.arguments()?;
    if !parser.rest.trim().is_empty() {
        return Err(Broken(format!("unexpected `{}`", parser.rest.trim())));
    }
    match (name, arguments.as_slice()) {
        ("ifurlup", [Value::Text(url), Value::Table(sets), options @ ..])
            if options.is_empty() || matches!(options, [Value::Table(_)]) =>
        {
            if_url_up(url, sets, circumstances)
        }
        ("pickrandom", [Value::Table(items)]) => {
            let all = addresses(items)?;
            Ok(all[(circumstances.random)(all.len())])
        }
        ("pickclosest", [Value::Table(items)]) => Ok(addresses(items)?[0]),
        ("pickwhashed", [Value::Table(items)]) => pick_weighted(items, circumstances.asker),
        ("ifurlup" | "pickrandom" | "pickclosest" | "pickwhashed", _) => {
            Err(Broken(format!("wrong arguments of `{name}`")))
        }
        _ => Err(Broken(format!("attempt to call a nil value (global '{name}')"))),
    }
}

/// Every address that a content may answer, whatever is up.
pub fn possible(content: &str) -> Result<Vec<IpAddr>, Broken> {
    let (_, program) = split(content).map_err(|malformed| Broken(malformed.to_string()))?;
    let asker = IpAddr::from([192, 0, 2, 1]);
    run(program, &mut Circumstances { asker, up: &mut |_, _| true, random: &mut |_| 0 })?;
    // What runs has no texts in quotes but its URL and its addresses.
    Ok(program.split('\'').filter_map(|text| text.parse().ok()).collect())
}

/// The first set with a candidate that is up, a random one of those; none up: a random one of all. Every
/// candidate is asked for, because asking is what makes the server check it.
fn if_url_up(url: &str, sets: &[Item], circumstances: &mut Circumstances<'_>) -> Result<IpAddr, Broken> {
    let mut all = Vec::new();
    let mut first_up: Option<Vec<IpAddr>> = None;
    // A plain list is one set.
    let flat = matches!(sets.first(), Some(Item { key: None, value: Value::Text(_) }));
    let sets = if flat { vec![sets] } else { nested(sets)? };
    for set in sets {
        let set = addresses(set)?;
        let up: Vec<IpAddr> = set.iter().copied().filter(|address| (circumstances.up)(url, *address)).collect();
        if first_up.is_none() && !up.is_empty() {
            first_up = Some(up);
        }
        all.extend(set);
    }
    let candidates = first_up.unwrap_or(all);
    if candidates.is_empty() {
        return Err(Broken("no candidates".into()));
    }
    Ok(candidates[(circumstances.random)(candidates.len())])
}

fn nested(items: &[Item]) -> Result<Vec<&[Item]>, Broken> {
    let table = |item| match item {
        &Item { key: None, value: Value::Table(ref items) } => Ok(items.as_slice()),
        _ => Err(Broken("wrong arguments of `ifurlup`".into())),
    };
    items.iter().map(table).collect()
}

/// The same asker gets the same address.
fn pick_weighted(items: &[Item], asker: IpAddr) -> Result<IpAddr, Broken> {
    let wrong = || Broken("wrong arguments of `pickwhashed`".into());
    let mut weighted = Vec::new();
    for item in items {
        match item {
            Item { key: None, value: Value::Table(pair) } => match pair.as_slice() {
                [Item { key: None, value: Value::Number(weight) }, Item { key: None, value: Value::Text(text) }] => {
                    weighted.push((*weight, address(text)?));
                }
                _ => return Err(wrong()),
            },
            _ => return Err(wrong()),
        }
    }
    let total: u64 = weighted.iter().map(|(weight, _)| weight).sum();
    if total == 0 {
        return Err(wrong());
    }
    let bytes = match asker {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    // FNV-1a: any stable hash will do.
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
    let mut left = hash % total;
    for (weight, address) in weighted {
        if left < weight {
            return Ok(address);
        }
        left -= weight;
    }
    Err(wrong())
}

fn addresses(items: &[Item]) -> Result<Vec<IpAddr>, Broken> {
    let one = |item: &Item| match item {
        Item { key: None, value: Value::Text(text) } => address(text),
        _ => Err(Broken("expected a list of addresses".into())),
    };
    let all: Vec<IpAddr> = items.iter().map(one).collect::<Result<_, _>>()?;
    if all.is_empty() { Err(Broken("no candidates".into())) } else { Ok(all) }
}

fn address(text: &str) -> Result<IpAddr, Broken> {
    text.parse().map_err(|_| Broken(format!("`{text}` is not an address")))
}

enum Value {
    Text(String),
    Number(u64),
    Table(Vec<Item>),
}

struct Item {
    key: Option<String>,
    value: Value,
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn eat(&mut self, symbol: char) -> bool {
        match self.rest.trim_start().strip_prefix(symbol) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn name(&mut self) -> Option<&'a str> {
        let text = self.rest.trim_start();
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
        if end == 0 || text.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        self.rest = &text[end..];
        Some(&text[..end])
    }

    /// `( value, value )`.
    fn arguments(&mut self) -> Result<Vec<Value>, Broken> {
        if !self.eat('(') {
            return Err(Broken("expected `(`".into()));
        }
        let mut arguments = Vec::new();
        while !self.eat(')') {
            if !arguments.is_empty() && !self.eat(',') {
                return Err(Broken("expected `,` or `)`".into()));
            }
            arguments.push(self.value()?);
        }
        Ok(arguments)
    }

    fn value(&mut self) -> Result<Value, Broken> {
        let text = self.rest.trim_start();
        if let Some(inner) = text.strip_prefix('\'') {
            let (value, rest) = inner.split_once('\'').ok_or_else(|| Broken("unfinished string".into()))?;
            self.rest = rest;
            return Ok(Value::Text(value.to_owned()));
        }
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        if digits > 0 {
            self.rest = &text[digits..];
            return text[..digits].parse().map(Value::Number).map_err(|_| Broken("malformed number".into()));
        }
        if !self.eat('{') {
            return Err(Broken(format!("unexpected symbol near `{text}`")));
        }
        let mut items: Vec<Item> = Vec::new();
        while !self.eat('}') {
            if !items.is_empty() && !self.eat(',') {
                return Err(Broken("expected `,` or `}`".into()));
            }
            let key = self.name().map(str::to_owned);
            if key.is_some() && !self.eat('=') {
                return Err(Broken("expected `=`".into()));
            }
            items.push(Item { key, value: self.value()? });
        }
        Ok(Value::Table(items))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_answered_is_every_address_of_a_content_that_runs() {
        let content = "A \"ifurlup('http://shop/', {{'10.1.0.1'},{'10.2.0.1'}})\"";
        assert_eq!(possible(content), Ok(vec![IpAddr::from([10, 1, 0, 1]), IpAddr::from([10, 2, 0, 1])]));
        assert!(possible("A \"pickfirst({'10.1.0.1'})\"").is_err());
    }

    fn answer(program: &str, up: &[&str]) -> Result<String, Broken> {
        let mut circumstances = Circumstances {
            asker: "10.0.0.9".parse().unwrap(),
            up: &mut |_, address| up.contains(&address.to_string().as_str()),
            random: &mut |count| count - 1,
        };
        run(program, &mut circumstances).map(|address| address.to_string())
    }

    #[test]
    fn ifurlup_answers_the_first_set_that_is_up_and_with_none_up_any_address() {
        let program = "ifurlup('http://h:80/healthz', {{'10.1.0.1'},{'10.2.0.1'}}, {timeout=2})";
        assert_eq!(answer(program, &["10.1.0.1", "10.2.0.1"]).unwrap(), "10.1.0.1");
        assert_eq!(answer(program, &["10.2.0.1"]).unwrap(), "10.2.0.1");
        assert_eq!(answer(program, &[]).unwrap(), "10.2.0.1", "the random one is the last here");
    }

    #[test]
    fn a_selector_option_that_does_not_exist_is_accepted() {
        assert!(answer("ifurlup('http://h/', {{'10.1.0.1'}}, {selector='pickfirst'})", &[]).is_ok());
    }

    #[test]
    fn the_other_forms_answer() {
        for program in
            ["pickclosest({'10.1.0.1','10.1.0.1'})", "pickwhashed({{15,'10.1.0.1'}})", "pickrandom({'10.1.0.1'})"]
        {
            assert_eq!(answer(program, &[]).unwrap(), "10.1.0.1", "{program}");
        }
    }

    #[test]
    fn what_a_real_server_cannot_run_is_broken() {
        for program in [
            "pickfirst({'10.1.0.1'})",
            "pickclosest('http://h/', {'10.1.0.1'})",
            "pickwhashed('http://h/', {{15,'10.1.0.1'}})",
            "ifurlup(\\\"http://h/\\\", {{'10.1.0.1'}})",
            "ifurlup({{'10.1.0.1'}})",
            "ifurlup('http://h/', {{'10.1.0.1'}}",
            "ifurlup('http://h/', {{'10.1.0.1'}}) x",
            "pickclosest({'ten.one'})",
            "pickclosest({})",
            "",
        ] {
            assert!(answer(program, &[]).is_err(), "{program}");
        }
    }

    #[test]
    fn unescaped_double_quotes_inside_are_malformed_and_escaped_ones_pass() {
        assert_eq!(split("A \"pickclosest({'a'})\""), Ok(("A", "pickclosest({'a'})")));
        assert!(split("A \"pickclosest({\"a\"})\"").is_err());
        assert!(split("A \"pickclosest({\\\"a\\\"})\"").is_ok());
        assert!(split("A pickclosest").is_err());
    }
}
