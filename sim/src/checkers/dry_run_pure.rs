//! A dry run changes nothing anywhere: no changing request carries its mark, and while one runs and nothing else was
//! asked for, controllers change nothing beside their life, under whatever mark. That the world is the same to the
//! byte is for a test that holds the rest of it still.

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
    evidence.extend(dry_run.acts.iter().map(|act| format!("while it ran, a controller changed {act}")));
    Verdict::of("dry-run-pure", String::new(), evidence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::fixture::moved;
    use crate::gate::Asked;

    #[test]
    fn a_changing_request_a_statement_and_an_act_are_each_caught() {
        let mut ground = moved();
        assert!(check(&ground).ok);
        ground.dry_run.requests.push(Asked {
            server: "api.fsn".into(),
            from: "controller.fsn".into(),
            verb: "patch".into(),
            what: "clusters/shop-fsn".into(),
            subresource: String::new(),
            changing: true,
            trial: false,
            dry_run: true,
            body: String::new(),
        });
        ground.dry_run.statement_count = 2;
        ground.dry_run.acts.push("the zone, by controller.fsn".into());
        assert_eq!(
            check(&ground).evidence,
            [
                "controller.fsn asked api.fsn to patch clusters/shop-fsn",
                "2 changing statements reached PostgreSQL",
                "while it ran, a controller changed the zone, by controller.fsn",
            ]
        );
    }
}
