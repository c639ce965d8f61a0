//! What the operator has to be allowed by the API server: `rights.json`, the rules of its Roles, each with its why.
//! The chart has a copy, which `cargo xtask check` compares.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rights {
    /// In every namespace whose `PresenceCluster`s are looked after.
    pub watched: Vec<Rule>,
    /// In the operator's own namespace.
    pub own: Vec<Rule>,
}

/// A rule of a Role.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Rule {
    pub why: String,
    pub api_groups: Vec<String>,
    pub resources: Vec<String>,
    pub verbs: Vec<String>,
    /// Which names a Role may narrow it to.
    #[serde(default)]
    pub named: Option<Named>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Named {
    /// The lease's.
    Lease,
    /// Of the shared secrets, where all `PresenceCluster`s are known by name.
    Internal,
    /// Those, and the Secrets that a `PresenceCluster` may name, where they are known.
    Read,
}

/// Which namespaces and names the rights are asked for.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// When empty: all.
    pub namespaces: Vec<String>,
    pub own_namespace: String,
    pub lease: String,
    /// The only `PresenceCluster`s there are, if rights are narrowed to them.
    pub presence_clusters: Vec<String>,
    /// The only Secrets that may be read, if rights are narrowed to them.
    pub secret_names: Vec<String>,
}

/// One thing that may be allowed or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Absent: in all of them.
    pub namespace: Option<String>,
    pub group: String,
    pub resource: String,
    pub subresource: Option<String>,
    pub name: Option<String>,
    pub verb: String,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if let Some(subresource) = &self.subresource {
            write!(f, "/{subresource}")?;
        }
        if !self.group.is_empty() {
            write!(f, " of {}", self.group)?;
        }
        if let Some(name) = &self.name {
            write!(f, " named {name}")?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in {namespace}"),
            None => f.write_str(" in all namespaces"),
        }
    }
}

/// # Panics
///
/// Where `rights.json` is none: a test reads it.
pub fn rights() -> Rights {
    serde_json::from_str(include_str!("rights.json")).expect("rights.json is part of this program")
}

impl Rights {
    pub fn questions(&self, scope: &Scope) -> Vec<Question> {
        let mut questions = Vec::new();
        let everywhere = scope.namespaces.is_empty().then_some(None);
        for namespace in everywhere.into_iter().chain(scope.namespaces.iter().cloned().map(Some)) {
            for rule in &self.watched {
                rule.ask(scope, namespace.as_ref(), &mut questions);
            }
        }
        for rule in &self.own {
            rule.ask(scope, Some(&scope.own_namespace), &mut questions);
        }
        questions
    }
}

impl Rule {
    fn ask(&self, scope: &Scope, namespace: Option<&String>, questions: &mut Vec<Question>) {
        let names = self.names(scope);
        for group in &self.api_groups {
            for full in &self.resources {
                let (resource, subresource) = match full.split_once('/') {
                    Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
                    None => (full.as_str(), None),
                };
                questions.extend(self.verbs.iter().flat_map(|verb| {
                    let subresource = subresource.clone();
                    names.iter().map(move |name| Question {
                        namespace: namespace.cloned(),
                        group: group.clone(),
                        resource: resource.to_owned(),
                        subresource: subresource.clone(),
                        name: name.clone(),
                        verb: verb.clone(),
                    })
                }));
            }
        }
    }

    /// One without a name, where nothing narrows the rule.
    fn names(&self, scope: &Scope) -> Vec<Option<String>> {
        let internal = scope.presence_clusters.iter().map(|name| format!("{name}-internal"));
        let names: BTreeSet<String> = match self.named {
            Some(Named::Lease) => BTreeSet::from([scope.lease.clone()]),
            Some(Named::Internal) => internal.collect(),
            Some(Named::Read) if !scope.secret_names.is_empty() => {
                internal.chain(scope.secret_names.iter().cloned()).collect()
            }
            Some(Named::Read) | None => BTreeSet::new(),
        };
        if names.is_empty() { vec![None] } else { names.into_iter().map(Some).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(scope: &Scope) -> Vec<String> {
        rights().questions(scope).iter().map(Question::to_string).collect()
    }

    fn of_school() -> Scope {
        Scope {
            namespaces: vec!["school".to_owned()],
            own_namespace: "system".to_owned(),
            lease: "operator".to_owned(),
            ..Scope::default()
        }
    }

    #[test]
    fn every_rule_says_why_and_none_is_a_wildcard() {
        let rights = rights();
        for rule in rights.watched.iter().chain(&rights.own) {
            assert!(rule.why.ends_with('.'), "{rule:?}");
            for words in [&rule.api_groups, &rule.resources, &rule.verbs] {
                assert!(!words.is_empty() && words.iter().all(|word| !word.contains('*')), "{rule:?}");
            }
        }
    }

    #[test]
    fn secrets_are_neither_listed_nor_watched_nor_deleted() {
        let rights = rights();
        let secrets = rights.watched.iter().filter(|rule| rule.resources.iter().any(|it| it == "secrets"));
        let verbs: Vec<String> = secrets.flat_map(|rule| rule.verbs.clone()).collect();
        assert_eq!(verbs, ["get", "create", "update"]);
    }

    #[test]
    fn rights_are_asked_for_in_each_namespace_and_leases_in_our_own() {
        let mut scope = of_school();
        let one = asked(&scope);
        assert!(
            one.contains(&"patch presenceclusters/status of presence.rs in school".to_owned()),
            "{one:#?}"
        );
        assert!(one.contains(&"get secrets in school".to_owned()));
        assert!(one.contains(&"update leases of coordination.k8s.io named operator in system".to_owned()));
        scope.namespaces.push("college".to_owned());
        let own = rights().own.iter().map(|rule| rule.verbs.len()).sum::<usize>();
        assert_eq!(asked(&scope).len(), (one.len() - own) * 2 + own);
        scope.namespaces.clear();
        assert!(asked(&scope).contains(&"get secrets in all namespaces".to_owned()));
    }

    #[test]
    fn narrowed_rights_are_asked_for_by_name() {
        let scope = Scope {
            presence_clusters: vec!["math".to_owned()],
            secret_names: vec!["database".to_owned()],
            ..of_school()
        };
        let of_secrets: Vec<String> =
            asked(&scope).into_iter().filter(|question| question.contains(" secrets")).collect();
        let expected = [
            "get secrets named database in school",
            "get secrets named math-internal in school",
            "create secrets in school",
            "update secrets named math-internal in school",
        ];
        assert_eq!(of_secrets, expected);
    }
}
