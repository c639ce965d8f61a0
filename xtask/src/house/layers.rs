//! Directions inside `presence/src`: who may name whom. Test modules are exempt: a flow's test may wire an
//! in-process adapter. Directions between crates are in `manifests.rs`.

use super::rust_path::{is_test_module, module_of, paths};
use super::rust_token::{tokens, without_tests};
use super::{Finding, SourceFile};

struct Layer {
    name: &'static str,
    may_not_name: &'static [&'static str],
}

/// `app` is the composition root: it alone names everything.
const LAYERS: &[Layer] = &[
    Layer { name: "app", may_not_name: &[] },
    Layer { name: "doors", may_not_name: &["adapters"] },
    Layer { name: "flows", may_not_name: &["doors", "adapters"] },
    Layer { name: "adapters", may_not_name: &["flows", "doors", "hub"] },
    Layer { name: "ports", may_not_name: &["flows", "doors", "adapters", "hub", "lifecycle"] },
    Layer { name: "hub", may_not_name: &["adapters"] },
    Layer { name: "lifecycle", may_not_name: &["adapters"] },
];

/// For all other modules.
const ELSE_MAY_NOT_NAME: &[&str] = &["adapters"];

pub(super) fn is_layer(name: &str) -> bool {
    LAYERS.iter().any(|layer| layer.name == name)
}

pub(super) fn check(file: &SourceFile) -> Vec<Finding> {
    if !file.path.starts_with("presence/src/") {
        return Vec::new();
    }
    let Some(module) = module_of(&file.path).filter(|module| !is_test_module(module)) else {
        return Vec::new();
    };
    let own = module.first().map_or("the crate's root", String::as_str);
    let forbidden =
        LAYERS.iter().find(|layer| layer.name == own).map_or(ELSE_MAY_NOT_NAME, |it| it.may_not_name);
    paths(&without_tests(&tokens(&file.text)), &module, "presence")
        .iter()
        .filter(|path| {
            path.local && path.segments.first().is_some_and(|first| forbidden.contains(&first.as_str()))
        })
        .map(|path| {
            let what = format!("{own} may not name {} (it names `{}`)", path.segments[0], path.text());
            Finding::at(&file.path, path.line, what)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        check(&file(path, text)).len()
    }

    #[test]
    fn doors_do_not_name_adapters() {
        assert_eq!(found("presence/src/doors/native.rs", "use crate::adapters::bus_nats::Nats;"), 1);
        assert_eq!(found("presence/src/doors/native.rs", "use crate::{flows::connect, adapters};"), 1);
        assert_eq!(found("presence/src/doors/native.rs", "fn f(x: super::super::adapters::X) {}"), 1);
        assert_eq!(found("presence/src/doors.rs", "use crate::flows::connect;"), 0);
    }

    #[test]
    fn flows_name_neither_doors_nor_adapters() {
        assert_eq!(found("presence/src/flows/connect.rs", "use crate::{doors::x, adapters::{y, z}};"), 3);
        assert_eq!(found("presence/src/flows/connect.rs", "use crate::{ports::x, hub::Hub};"), 0);
    }

    #[test]
    fn adapters_see_ports_only() {
        let text = "use crate::{flows::a, doors::b, hub::c, ports::d};";
        assert_eq!(found("presence/src/adapters/bus_nats.rs", text), 3);
        assert_eq!(found("presence/src/adapters/bus_nats.rs", "use crate::adapters::wire;"), 0);
    }

    #[test]
    fn ports_see_nothing_above() {
        let text = "use crate::{flows::a, doors::b, hub::c, adapters::d, lifecycle::e};";
        assert_eq!(found("presence/src/ports.rs", text), 5);
        assert_eq!(found("presence/src/ports/bus.rs", text), 5);
    }

    #[test]
    fn only_the_composition_root_names_adapters() {
        assert_eq!(found("presence/src/app.rs", "use crate::adapters::x;"), 0);
        assert_eq!(found("presence/src/app/store.rs", "use crate::adapters::x;"), 0);
        assert_eq!(found("presence/src/main.rs", "use presence::adapters::x;"), 1);
        assert_eq!(found("presence/src/telemetry.rs", "crate::adapters::x();"), 1);
        assert_eq!(found("presence/src/lib.rs", "pub mod adapters;"), 0);
        assert_eq!(found("presence/src/lib.rs", "pub use adapters::x;"), 1);
    }

    #[test]
    fn comments_and_tests_are_exempt() {
        assert_eq!(found("presence/src/flows/connect.rs", "//! not crate::adapters::x\n"), 0);
        let text = "#[cfg(test)] mod tests { use crate::adapters::x; }";
        assert_eq!(found("presence/src/flows/connect.rs", text), 0);
        assert_eq!(found("presence/src/flows/connect/tests.rs", "use crate::adapters::x;"), 0);
        assert_eq!(found("presence/tests/contracts/main.rs", "use presence::adapters::x;"), 0);
    }
}
