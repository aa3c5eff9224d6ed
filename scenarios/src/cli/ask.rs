//! `continuum explain`: lists what there is, or tells of one thing.

use super::{EXIT_USAGE, show, tell, width};
use crate::explain::{Kind, Topic, find, meant, with_key};
use crate::wrap::wrap;

pub(super) fn explain(word: &str) -> u8 {
    if word.is_empty() {
        return show(&overview(width()));
    }
    if let Some(kind) = Kind::of(word) {
        return show(&list(kind, width()));
    }
    let found = find(word);
    if found.is_empty() {
        let steps = with_key(word);
        let hint = match meant(word) {
            _ if !steps.is_empty() => format!("it is a key of {}", steps.join(", ")),
            _ if word.starts_with("step") => "a switchover has the steps 1 to 7".to_owned(),
            Some(known) => format!("did you mean `{known}`?"),
            None => "`continuum explain` lists what there is".to_owned(),
        };
        tell(&format!("nothing is called `{word}`: {hint}"));
        return EXIT_USAGE;
    }
    let told: Vec<String> = found.iter().map(|(kind, topic)| one(*kind, topic, width())).collect();
    show(&told.join("\n"))
}

/// Every kind with its names.
fn overview(width: usize) -> String {
    let mut text = String::new();
    for kind in Kind::ALL {
        row(&mut text, kind.word(), 12, kind.meaning(), width);
        let names: Vec<String> = kind.topics().into_iter().map(|topic| topic.name).collect();
        row(&mut text, "", 12, &names.join(" "), width);
    }
    text
}

/// Every name of a kind with its line.
fn list(kind: Kind, width: usize) -> String {
    let topics = kind.topics();
    let column = topics.iter().map(|topic| topic.name.len()).max().unwrap_or_default() + 2;
    let mut text = String::new();
    for topic in &topics {
        row(&mut text, &topic.name, column, &topic.title, width);
    }
    text
}

/// All of one.
fn one(kind: Kind, topic: &Topic, width: usize) -> String {
    let mut text = String::new();
    row(&mut text, &topic.name, topic.name.len() + 2, &format!("({kind}) {}", topic.title), width);
    let column = topic.facts.iter().map(|(word, _)| word.len()).max().unwrap_or_default() + 4;
    // The line above may be the first of the facts already.
    for (word, fact) in topic.facts.iter().filter(|(_, fact)| *fact != topic.title) {
        row(&mut text, &format!("  {word}"), column, fact, width);
    }
    text
}

/// A word, and its text beside it.
fn row(text: &mut String, word: &str, column: usize, told: &str, width: usize) {
    for (index, part) in wrap(told, width.saturating_sub(column)).iter().enumerate() {
        let head = if index == 0 { word } else { "" };
        text.push_str(format!("{head:<column$}{part}").trim_end());
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_each_kind_looks_as_it_does() {
        let mut text = String::new();
        for word in ["partition", "execute", "no-lost-write", "uncordon-new-primary", "result", "H25"] {
            for (kind, topic) in find(word) {
                text.push_str(&one(kind, &topic, 100));
                text.push('\n');
            }
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn the_overview_names_every_topic_and_a_list_begins_each_line_with_one() {
        let told = overview(100);
        for kind in Kind::ALL {
            let lines = list(kind, 1_000);
            for (topic, line) in kind.topics().iter().zip(lines.lines()) {
                assert!(told.split_whitespace().any(|word| word == topic.name), "{}", topic.name);
                assert!(line.starts_with(&format!("{} ", topic.name)), "{line}");
            }
        }
    }

    #[test]
    fn every_line_fits_a_narrow_terminal() {
        for kind in Kind::ALL {
            let told = kind.topics().iter().map(|topic| one(kind, topic, 60)).collect::<String>();
            for line in format!("{}{told}{}", list(kind, 60), overview(60)).lines() {
                // A path is not broken.
                assert!(line.chars().count() <= 60 || line.contains("scenarios/"), "{line}");
            }
        }
    }
}
