use super::*;
use crate::render::example;
use serde_json::json;

/// What core wrote fits the shape of this name, and would not with a field more.
fn fits(name: &str, written: &impl Serialize) {
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("report.json", schema()).unwrap();
    let index = compiler.compile(&format!("report.json#/$defs/{name}"), &mut schemas).unwrap();
    let mut value = serde_json::to_value(written).unwrap();
    assert_eq!(schemas.validate(&value, index).map_err(|error| error.to_string()), Ok(()));
    if let Some(fields) = value.as_object_mut() {
        fields.insert("colour".into(), "red".into());
        assert!(schemas.validate(&value, index).is_err(), "{name} may have fields that nobody knows");
    }
}

#[test]
fn the_schema_describes_the_reports_as_core_writes_them() {
    let mut kinds = 0;
    for reported in example::failed().reports.iter().chain(&example::passed().reports) {
        kinds += 1;
        match &reported.report {
            // Core's has always seven; the example shows one of them.
            Report::DryRun(r) => {
                fits("DryRunReport", &DryRunReport { steps: vec![r.steps[0].clone(); 7], ..r.clone() })
            }
            Report::Execute(r) | Report::Failback(r) => fits("ExecuteReport", r),
            Report::Health(r) => fits("HealthReport", r),
            Report::Error(_) => continue,
        };
    }
    assert!(kinds >= 5);
}

#[test]
fn every_result_is_in_the_schema() {
    use ExecuteResult::{AlreadyThere, Declined, Refused, Succeeded, Undoing, Undone, Unknown};
    for result in [Succeeded, Undone, Undoing, Declined, Refused, AlreadyThere, Unknown] {
        fits("ExecuteResult", &json!(result));
    }
}
