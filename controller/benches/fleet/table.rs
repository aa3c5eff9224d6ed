//! What is printed in the end.

use crate::execute::Moves;
use crate::idle::Idle;
use crate::machine::Usage;
use crate::options::Options;
use std::fmt::Write;
use std::time::Duration;

/// What the product may be.
enum Target {
    /// So much of the twin's at most.
    Ratio(f64),
    /// So much at most.
    AtMost(f64),
    /// For the reader.
    None,
}

struct Row {
    measure: String,
    product: f64,
    twin: f64,
    /// How many digits of both are shown.
    digits: usize,
    target: Target,
}

/// Both sides of what was measured, the product's first.
pub fn of(kept: &[Idle], moved: &[Moves], options: &Options) -> String {
    let mut rows = Vec::new();
    if let [product, twin] = kept {
        rows.extend(idle(product, twin, options));
    }
    if let [product, twin] = moved {
        rows.extend(execute(product, twin));
    }
    let mut text = String::from("| measure | product | twin | ratio | target | |\n|---|---:|---:|---:|---|---|\n");
    for row in &rows {
        let digits = row.digits;
        let ratio = if row.twin > 0.0 { format!("{:.2}", row.product / row.twin) } else { "-".to_owned() };
        let (target, verdict) = row.target.judge(row.product, row.twin);
        let Row { measure, product, twin, .. } = row;
        writeln!(text, "| {measure} | {product:.digits$} | {twin:.digits$} | {ratio} | {target} | {verdict} |")
            .expect("a text takes all");
    }
    if let [product, twin] = kept {
        for (name, side) in [("product", product), ("twin", twin)] {
            let of_each: Vec<String> =
                side.requests.iter().map(|(key, count)| format!("{key} {:.2}", count * 2.0)).collect();
            writeln!(text, "\nrequests a minute and Continuum, {name}, both regions: {}", of_each.join(", "))
                .expect("a text takes all");
        }
    }
    text
}

impl Target {
    fn judge(&self, product: f64, twin: f64) -> (String, &'static str) {
        let (target, holds) = match self {
            Self::Ratio(most) => (format!("at most {most:.2} of the twin's"), product <= most * twin),
            // As it is shown: what a server does by itself is counted with it.
            Self::AtMost(most) => (format!("at most {most}"), (product * 10.0).round() / 10.0 <= *most),
            Self::None => return (String::new(), ""),
        };
        (target, if holds { "held" } else { "**not held**" })
    }
}

fn idle(product: &Idle, twin: &Idle, options: &Options) -> Vec<Row> {
    let sum = |side: &Idle, of: fn(&Usage) -> f64| side.usage.iter().map(of).sum::<f64>();
    let both = |measure: &str, of: fn(&Usage) -> f64, target| Row {
        measure: measure.to_owned(),
        product: sum(product, of),
        twin: sum(twin, of),
        digits: 1,
        target,
    };
    let of = |measure: &str, value: fn(&Idle) -> f64, digits, target| Row {
        measure: measure.to_owned(),
        product: value(product),
        twin: value(twin),
        digits,
        target,
    };
    let minutes = options.idle_for.as_secs() / 60;
    vec![
        both("memory after it, both regions, MiB", |usage| usage.resident_kib as f64 / 1024.0, Target::Ratio(0.25)),
        both("most memory, both regions, MiB", |usage| usage.peak_kib as f64 / 1024.0, Target::Ratio(0.25)),
        both(
            &format!("CPU of {minutes} min idle, both regions, s"),
            |usage| usage.cpu.as_secs_f64(),
            Target::Ratio(1.0 / 3.0),
        ),
        of("renewals missed", |side| side.kept.missed as f64, 0, Target::AtMost(0.0)),
        of("longest between two renewals, s", |side| side.kept.longest.as_secs_f64(), 1, Target::None),
        of("start to the first renewal, s", |side| side.first.as_secs_f64(), 2, Target::Ratio(0.5)),
        of("start to the first renewal of all, s", |side| side.all.as_secs_f64(), 2, Target::Ratio(0.5)),
        of(
            "requests a minute of one Continuum and controller",
            |side| side.requests.values().sum(),
            1,
            Target::AtMost(12.0),
        ),
    ]
}

fn execute(product: &Moves, twin: &Moves) -> Vec<Row> {
    let row = |measure: &str, product: Duration, twin: Duration, digits, target| Row {
        measure: measure.to_owned(),
        product: product.as_secs_f64(),
        twin: twin.as_secs_f64(),
        digits,
        target,
    };
    let (own, twins) = (median(&product.own), median(&twin.took));
    vec![
        row("a switchover, less what others are waited for, median, s", own, twins, 3, Target::Ratio(0.5)),
        row("a switchover, order to end, median, s", median(&product.took), twins, 3, Target::None),
        row("CPU of a switchover, both regions, s", product.cpu, twin.cpu, 3, Target::None),
    ]
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
