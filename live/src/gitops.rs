//! Which GitOps tools keep an object as they have it, by the marks that they leave on it.
//!
//! Argo CD: the annotation `argocd.argoproj.io/tracking-id`, or the label of its own choice
//! (`argocd.argoproj.io/instance`); its default label `app.kubernetes.io/instance` is everybody's, and counts for nothing.
//! Flux: the labels `kustomize.toolkit.fluxcd.io/name` and `helm.toolkit.fluxcd.io/name`. Helm itself puts nothing back
//! by itself, but at its next upgrade. And whoever owns the field that a move writes in `managedFields`.

use crate::kube_api::{BadField, Fields};

/// Marks, where they stand, and whose they are.
const MARKS: [(Mark, &str, &str); 5] = [
    (Mark::Annotation, "argocd.argoproj.io/tracking-id", "Argo CD"),
    (Mark::Label, "argocd.argoproj.io/instance", "Argo CD"),
    (Mark::Label, "kustomize.toolkit.fluxcd.io/name", "Flux"),
    (Mark::Label, "helm.toolkit.fluxcd.io/name", "Flux"),
    (Mark::Annotation, "meta.helm.sh/release-name", "Helm"),
];

/// Field managers of such tools, and whose they are.
const MANAGERS: [(&str, &str); 5] = [
    ("argocd-controller", "Argo CD"),
    ("argocd-application-controller", "Argo CD"),
    ("kustomize-controller", "Flux"),
    ("helm-controller", "Flux"),
    ("helm", "Helm"),
];

#[derive(Clone, Copy)]
enum Mark {
    Annotation,
    Label,
}

/// The tools, each once, with the sign of it. `field`: what a move writes, a key of `spec`.
pub(crate) fn kept_by(fields: &Fields, field: &str) -> Result<Vec<String>, BadField> {
    let mut found: Vec<(&str, String)> = Vec::new();
    for (mark, name, tool) in MARKS {
        let (sign, value) = match mark {
            Mark::Annotation => ("annotation", fields.annotation(name)?),
            Mark::Label => ("label", fields.label(name)?),
        };
        if value.is_some() {
            found.push((tool, format!("{tool} ({sign} {name})")));
        }
    }
    for entry in fields.list("metadata.managedFields")? {
        let owner = entry["manager"].as_str().unwrap_or_default();
        let owns = entry.pointer(&format!("/fieldsV1/f:spec/f:{field}")).is_some();
        if let Some((_, tool)) = MANAGERS.iter().find(|(manager, _)| owns && *manager == owner) {
            found.push((tool, format!("{tool} (owns spec.{field} as {owner})")));
        }
    }
    let mut told: Vec<&str> = Vec::new();
    found.retain(|(tool, _)| {
        !told.contains(tool) && {
            told.push(tool);
            true
        }
    });
    Ok(found.into_iter().map(|(_, text)| text).collect())
}
