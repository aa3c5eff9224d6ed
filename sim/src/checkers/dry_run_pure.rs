//! A dry run changes nothing anywhere.

use super::Verdict;
use crate::ground::Ground;

/// Checks.
pub fn check(ground: &Ground) -> Verdict {
    let dry_run = &ground.dry_run;
    let mut evidence: Vec<String> = dry_run
        .requests
        .iter()
        .map(|asked| format!("{} asked {} to {} {}", asked.from, asked.server, asked.verb, asked.what))
        .collect();
    if dry_run.statement_count > 0 {
        evidence.push(format!("{} changing statements reached PostgreSQL", dry_run.statement_count));
    }
    evidence.extend(dry_run.differences.iter().map(|part| format!("after it, this was not as before: {part}")));
    Verdict::of("dry-run-pure", String::new(), evidence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::fixture::moved;
    use crate::gate::Asked;

    #[test]
    fn a_changing_request_a_statement_and_a_difference_are_each_caught() {
        let mut ground = moved();
        assert!(check(&ground).ok);
        ground.dry_run.requests.push(Asked {
            server: "api.fsn".into(),
            from: "controller.fsn".into(),
            verb: "patch".into(),
            what: "clusters/shop-fsn".into(),
            subresource: String::new(),
            changing: true,
            dry_run: true,
            body: String::new(),
        });
        ground.dry_run.statement_count = 2;
        ground.dry_run.differences.push("zone".into());
        assert_eq!(
            check(&ground).evidence,
            [
                "controller.fsn asked api.fsn to patch clusters/shop-fsn",
                "2 changing statements reached PostgreSQL",
                "after it, this was not as before: zone",
            ]
        );
    }
}
