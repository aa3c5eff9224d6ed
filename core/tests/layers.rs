//! The layers, by what each package names: `core` <- `live` <- `sim` <- `scenarios`. Nothing points back,
//! dev-dependencies included, and `core` names no backend.

use std::collections::BTreeSet;
use std::path::Path;

/// All that core may name.
const ALLOWED_IN_CORE: [&str; 9] =
    ["async-trait", "futures-util", "jiff", "litemap", "serde", "serde_json", "sha2", "thiserror", "tracing"];

/// The packages of this workspace, lowest layer first; `nats` stands beside `live`.
const LAYERS: [&str; 4] = ["core", "live", "sim", "scenarios"];

/// Names of all dependencies in a manifest: of every kind and every target.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut listing = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            let (head, last) = section.rsplit_once('.').unwrap_or(("", section));
            listing = last.ends_with("dependencies");
            // `[dependencies.name]` is a dependency written as a section.
            if head.ends_with("dependencies") {
                names.insert(last.to_owned());
            }
        } else if listing && !line.is_empty() && !line.starts_with('#') {
            let end = line.find(['.', '=', ' ']).unwrap_or(line.len());
            names.insert(line[..end].trim_matches('"').to_owned());
            assert!(!line.contains("package ="), "a renamed dependency hides what it is: {line}");
        }
    }
    names
}

fn of_package(package: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(package).join("Cargo.toml");
    let manifest = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    dependencies(&manifest)
}

#[test]
fn core_names_no_backend() {
    let named = of_package("core");
    let allowed: BTreeSet<String> = ALLOWED_IN_CORE.map(str::to_owned).into();
    assert!(named.is_subset(&allowed), "core may not name {:?}", named.difference(&allowed));
    assert!(named.contains("serde"), "the manifest was read");
}

#[test]
fn no_layer_points_back() {
    for (i, package) in LAYERS.iter().enumerate() {
        let named = of_package(package);
        for above in &LAYERS[i..] {
            assert!(!named.contains(&format!("continuum-{above}")), "{package} names {above}");
        }
        assert!(!named.contains("continuum-controller"), "{package} names the process that it runs in");
    }
}

#[test]
fn every_way_to_name_a_dependency_is_seen() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\nb = \"1\"\n# c = \"1\"\n\
                    [dev-dependencies]\nd = { version = \"1\" }\n[dependencies.e]\nversion = \"1\"\n\
                    [target.'cfg(unix)'.build-dependencies]\nf=\"1\"\n[features]\ng = []\n";
    let names: Vec<String> = dependencies(manifest).into_iter().collect();
    assert_eq!(names, ["a", "b", "d", "e", "f"]);
}
