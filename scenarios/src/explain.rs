//! What there is to ask about: faults, operations, checks, steps and incidents, each told by the one place that defines
//! it. Faults and operations are the schema's, steps are core's, checks and incidents are tables of the documentation,
//! which is part of this program.

mod of_schema;

use crate::format;
use continuum_core::steps::{POINT_OF_NO_RETURN, STEPS};
use of_schema::{conditions, expectations, scenario_steps};
use std::fmt;

const INCIDENTS: &str = include_str!("../../docs/incidents.md");
const SCENARIOS: &str = include_str!("../../docs/scenarios.md");

/// Where a kind is told in full.
const DOCUMENT: &str = "docs/scenarios.md";

/// A kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What can be done to the world.
    Fault,
    /// What a scenario asks for or looks at.
    Operation,
    /// What must hold of every run.
    Check,
    /// One of the seven steps of a switchover.
    Step,
    /// A key of `spec.world`.
    World,
    /// What can be waited for.
    Condition,
    /// What can be expected of a report, of the world, or of the end.
    Expectation,
    /// A host of the world.
    Host,
    /// When a fault begins, or a person acts.
    Moment,
    /// What went wrong elsewhere, and must not here.
    Incident,
}

/// Something that can be asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Further words for it.
    pub aliases: Vec<String>,
    /// In one line.
    pub title: String,
    /// The rest, with a word for each.
    pub facts: Vec<(String, String)>,
}

impl Kind {
    /// All.
    pub const ALL: [Self; 10] = [
        Self::Fault,
        Self::Operation,
        Self::Check,
        Self::Step,
        Self::World,
        Self::Condition,
        Self::Expectation,
        Self::Host,
        Self::Moment,
        Self::Incident,
    ];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Fault => "fault",
            Kind::Operation => "operation",
            Kind::Check => "check",
            Kind::Step => "step",
            Kind::World => "world",
            Kind::Condition => "condition",
            Kind::Expectation => "expectation",
            Kind::Host => "host",
            Kind::Moment => "moment",
            Kind::Incident => "incident",
        }
    }

    /// The kind of this word, also in the plural.
    pub fn of(word: &str) -> Option<Self> {
        let word = word.strip_suffix('s').unwrap_or(word);
        let word = if word == "hazard" { "incident" } else { word };
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// What it is.
    pub fn meaning(self) -> &'static str {
        match self {
            Kind::Fault => "what is done to the world, at a line or at a moment",
            Kind::Operation => "what a scenario asks for, waits for or looks at",
            Kind::Check => "what must hold of every run, judged without asking a controller",
            Kind::Step => "a step of a switchover",
            Kind::World => "a key of spec.world: how the world is at the start",
            Kind::Condition => "what can be waited for, and be the moment of a fault",
            Kind::Expectation => "what a report, the world or the end of a run can be expected to be",
            Kind::Host => "a host of the world",
            Kind::Moment => "when a fault begins, or a person or a tool acts",
            Kind::Incident => "what went wrong elsewhere, and must not here",
        }
    }

    /// All of its topics, in their order.
    pub fn topics(self) -> Vec<Topic> {
        match self {
            Kind::Fault => scenario_steps(true),
            Kind::Operation => scenario_steps(false),
            Kind::Check => rows(SCENARIOS, "check", 2).map(check).collect(),
            Kind::Step => STEPS.iter().map(step).collect(),
            Kind::World => rows(SCENARIOS, "key", 3).flat_map(world_key).collect(),
            Kind::Condition => conditions(),
            Kind::Expectation => expectations(),
            Kind::Host => rows(SCENARIOS, "host", 3).flat_map(host).collect(),
            Kind::Moment => rows(SCENARIOS, "moment", 2).map(moment).collect(),
            Kind::Incident => rows(INCIDENTS, "id", 3).map(incident).collect(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Everything of this name, of whatever kind. A key of the world that holds others stands for all of them; it may be named
/// by its whole path.
pub fn find(name: &str) -> Vec<(Kind, Topic)> {
    let lower = name.to_lowercase();
    let lower = lower.strip_prefix("spec.world.").unwrap_or(&lower);
    let within = format!("{lower}.");
    let is_it = |kind: Kind, topic: &Topic| {
        let name = topic.name.to_lowercase();
        name == lower
            || kind == Kind::World && name.starts_with(&within)
            || topic.aliases.iter().any(|alias| alias.to_lowercase() == lower)
    };
    let of_kind = |kind: Kind| kind.topics().into_iter().map(move |topic| (kind, topic));
    Kind::ALL.into_iter().flat_map(of_kind).filter(|(kind, topic)| is_it(*kind, topic)).collect()
}

/// The steps that have a key of this name.
pub fn with_key(key: &str) -> Vec<String> {
    let topics = [Kind::Fault, Kind::Operation].into_iter().flat_map(Kind::topics);
    let has = |topic: &Topic| topic.facts.iter().any(|(word, _)| word == key);
    topics.filter(has).map(|topic| topic.name).collect()
}

/// The kind or topic that a word may have been meant for.
pub fn meant(word: &str) -> Option<String> {
    let kinds = Kind::ALL.iter().map(|kind| kind.word().to_owned());
    let topics = Kind::ALL.into_iter().flat_map(Kind::topics).map(|topic| topic.name);
    let known: Vec<String> = kinds.chain(topics).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    format::did_you_mean(word, &known).map(str::to_owned)
}

/// Rows of the table of a document whose first heading is this, with exactly so many cells.
///
/// # Panics
/// Where a row has more or fewer: the document is part of this program, and a test reads all of it.
fn rows(document: &'static str, heading: &str, cell_count: usize) -> impl Iterator<Item = Vec<&'static str>> {
    let heading = format!("| {heading} |");
    let table = document.lines().skip_while(move |line| !line.starts_with(&heading));
    table.skip(2).take_while(|line| line.starts_with('|')).map(move |line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), cell_count, "a row of the documentation: {line}");
        cells
    })
}

fn fact(word: &str, text: impl Into<String>) -> (String, String) {
    (word.to_owned(), text.into())
}

fn check(cells: Vec<&str>) -> Topic {
    let name = cells[0].trim_matches('`').to_owned();
    let facts = vec![
        fact("what holds", cells[1]),
        fact("judged", "after the run, by an observer that looks into the simulated servers"),
        fact("told in", format!("{DOCUMENT}, Checks")),
    ];
    Topic { name, aliases: Vec::new(), title: cells[1].to_owned(), facts }
}

/// A row may tell of several names at once.
fn each(cell: &str, facts: &[(String, String)], title: &str) -> Vec<Topic> {
    let topic = |name: &str| Topic {
        name: name.trim_matches('`').to_owned(),
        aliases: Vec::new(),
        title: without_links(title),
        facts: facts.to_vec(),
    };
    cell.split(", ").map(topic).collect()
}

fn world_key(cells: Vec<&str>) -> Vec<Topic> {
    let mut facts = vec![fact("default", cells[1]), fact("told in", format!("{DOCUMENT}, spec.world"))];
    facts.retain(|(_, text)| !text.is_empty());
    let mut topics = each(cells[0], &facts, cells[2]);
    for topic in &mut topics {
        // A nested key is also found by its last word, as it stands in a file.
        topic.aliases.extend(topic.name.rsplit_once('.').map(|(_, last)| last.to_owned()));
    }
    topics
}

fn host(cells: Vec<&str>) -> Vec<Topic> {
    let facts = [
        fact("as every host", "`partition`, `delay`, `crash`, `pause`"),
        fact("besides", cells[2]),
        fact("told in", format!("{DOCUMENT}, Names")),
    ];
    each(cells[0], &facts, cells[1])
}

fn moment(cells: Vec<&str>) -> Topic {
    let whole = cells[0].trim_matches('`');
    let name = whole.split(':').next().unwrap_or(whole).to_owned();
    let facts = vec![fact("written", cells[0]), fact("told in", format!("{DOCUMENT}, Moments"))];
    Topic { name, aliases: Vec::new(), title: cells[1].to_owned(), facts }
}

fn incident(cells: Vec<&str>) -> Topic {
    let name = cells[0].to_owned();
    let quoted = format!("`{name}`");
    let staged = rows(INCIDENTS, "incident", 2).find(|row| row[0] == quoted);
    let staged = staged.map_or_else(
        || "no scenario that names it".to_owned(),
        |row| {
            let files = row[1].split(", ").map(|name| format!("scenarios/{}.yaml", name.trim_matches('`')));
            files.collect::<Vec<_>>().join(" ")
        },
    );
    let facts = vec![
        fact("what happened", without_links(cells[1])),
        fact("what follows", without_links(cells[2])),
        fact("staged by", staged),
    ];
    Topic { name, aliases: Vec::new(), title: without_links(cells[1]), facts }
}

/// `[a text](where.md)` as `a text`.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once('[') {
        match link.split_once("](").and_then(|(name, target)| Some((name, target.split_once(')')?.1))) {
            Some((name, after)) => {
                plain.push_str(before);
                plain.push_str(name);
                rest = after;
            }
            None => break,
        }
    }
    plain + rest
}

fn step(step: &continuum_core::steps::Step) -> Topic {
    let mut facts = vec![
        fact("done when", step.effect),
        fact("undo", step.undo.unwrap_or("forward only")),
        fact("estimate", format!("{} s", step.estimate_default_seconds)),
    ];
    if step.number == POINT_OF_NO_RETURN {
        facts.push(fact("no return", "once the record says that it started, the switchover only goes forward"));
    }
    facts.push(fact("told in", "docs/protocol.md, Driving"));
    Topic {
        name: step.name.to_owned(),
        aliases: vec![step.number.to_string(), format!("step-{}", step.number), format!("step {}", step.number)],
        title: format!("{} of {}: {}", step.number, STEPS.len(), step.does),
        facts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_topics_and_every_topic_is_told() {
        for kind in Kind::ALL {
            let topics = kind.topics();
            let least = if kind == Kind::Moment { 6 } else { 7 };
            assert!(topics.len() >= least, "{kind}: {}", topics.len());
            for topic in topics {
                assert!(!topic.title.is_empty() && !topic.facts.is_empty(), "{topic:?}");
                assert!(find(&topic.name).contains(&(kind, topic)));
            }
        }
    }

    #[test]
    fn checks_are_those_of_the_checkers() {
        let names: Vec<String> = Kind::Check.topics().into_iter().map(|topic| topic.name).collect();
        assert_eq!(names, continuum_sim::checkers::NAMES);
    }

    #[test]
    fn every_step_of_a_scenario_is_a_fault_or_an_operation() {
        let schema = format::schema();
        let count = Kind::Fault.topics().len() + Kind::Operation.topics().len();
        assert_eq!(Some(count), schema["$defs"]["Step"]["oneOf"].as_array().map(Vec::len));
    }

    #[test]
    fn a_step_is_found_by_name_number_and_as_reports_call_it() {
        for word in ["swap-lease", "5", "step-5", "step 5", "Swap-Lease"] {
            let found = find(word);
            assert!(matches!(&found[..], [(Kind::Step, topic)] if topic.name == "swap-lease"), "{word}: {found:?}");
        }
    }

    #[test]
    fn a_name_of_two_kinds_is_told_twice() {
        let kinds: Vec<Kind> = find("audit").into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, [Kind::Fault, Kind::Check, Kind::World]);
    }

    #[test]
    fn every_host_is_told_of_and_no_fault_is_given_to_one_that_has_none_such() {
        let hosts = Kind::Host.topics();
        let names: Vec<&str> = hosts.iter().map(|topic| topic.name.as_str()).collect();
        assert_eq!(names, format::HostName::KNOWN);
        for host in &hosts {
            let answers = host.facts.iter().any(|(word, text)| word == "besides" && text.contains("hang"));
            assert_eq!(answers, format::ServerName::KNOWN.contains(&host.name.as_str()), "{host:?}");
        }
    }

    #[test]
    fn a_key_that_holds_others_stands_for_all_of_them() {
        let names = |word: &str| find(word).into_iter().map(|(_, topic)| topic.name).collect::<Vec<_>>();
        assert_eq!(names("workload"), ["workload.clients", "workload.writesPerSecond", "workload.heldSession"]);
        assert_eq!(names("spec.world.workload.clients"), ["workload.clients"]);
        assert!(names("dns").contains(&"dns.authorities".to_owned()), "{:?}", names("dns"));
    }

    #[test]
    fn a_link_is_told_as_its_text() {
        assert_eq!(without_links("see [one](a.md), [two](b.md) and [3]"), "see one, two and [3]");
        assert!(find("H35")[0].1.facts.iter().all(|(_, text)| !text.contains("](")), "{:?}", find("H35"));
    }

    #[test]
    fn an_unknown_word_is_answered_with_the_one_that_was_meant() {
        assert_eq!(meant("partitoin").as_deref(), Some("partition"));
        assert_eq!(meant("incidnet").as_deref(), Some("incident"));
        assert_eq!(meant("quux-and-more"), None);
    }
}
