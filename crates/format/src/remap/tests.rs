use proptest::prelude::*;

use super::*;

fn remap(rules: &[(&str, &str)]) -> Remap {
    let (from, to): (Vec<_>, Vec<_>) = rules.iter().copied().unzip();
    Remap::parse(&from, &to).unwrap()
}

fn renamed(rules: &[(&str, &str)], name: &str) -> String {
    remap(rules)
        .apply(&name.parse().unwrap())
        .unwrap()
        .to_string()
}

fn refused(from: &str, to: &str) -> String {
    Remap::parse(&[from], &[to]).unwrap_err().to_string()
}

proptest! {
    #[test]
    fn a_rule_onto_itself_changes_nothing(
        pattern in r"[ab.*]{1,6}|\$x\$[ab.]{0,3}\$y\$",
        db in "[ab]{1,3}",
        collection in "[ab.]{1,4}",
    ) {
        let namespace = Namespace::new(db, collection);
        let remap = remap(&[(pattern.as_str(), pattern.as_str())]);
        prop_assert_eq!(remap.apply(&namespace).unwrap(), namespace);
    }

    #[test]
    fn variables_do_what_stars_do(
        name in "[abc]{1,3}\\.[abc.]{1,5}",
        literals in prop::collection::vec("[abc.]{0,2}", 2..5),
    ) {
        let stars = literals.join("*");
        let variables = literals.iter().enumerate().fold(String::new(), |text, (position, literal)| {
            if position == 0 { literal.clone() } else { format!("{text}${position}${literal}") }
        });
        let from_stars = remap(&[(&stars, &format!("x.{stars}"))]).apply(&name.parse().unwrap());
        let from_variables = remap(&[(&variables, &format!("x.{variables}"))]).apply(&name.parse().unwrap());
        prop_assert_eq!(from_stars, from_variables);
    }

    #[test]
    fn buckets_go_where_their_collection_goes(
        from in "[ab.*]{1,5}",
        to in "[ab]\\.[ab*]{1,5}",
        db in "[ab]{1,3}",
        collection in "[ab.]{1,4}",
    ) {
        let namespace = Namespace::new(db, collection);
        if let Ok(remap) = Remap::parse(&[from], &[to]) {
            let buckets = remap.apply(&namespace.buckets());
            prop_assert_eq!(buckets, remap.apply(&namespace).map(|renamed| renamed.buckets()));
        }
    }

    #[test]
    fn no_patterns_panic(
        from in r"[a.*$\\]{0,8}",
        to in r"[a.*$\\]{0,8}",
        name in "[a.]{0,3}\\.[a.*$]{0,5}",
    ) {
        if let Ok(remap) = Remap::parse(&[from], &[to]) {
            let _ = remap.apply(&name.parse().unwrap());
        }
    }
}

#[test]
fn stars_correspond_in_order() {
    assert_eq!(
        renamed(&[("*.*", "*_test.*")], "prod.turbo.encabulators"),
        "prod_test.turbo.encabulators"
    );
    assert_eq!(renamed(&[("prod.*", "test.*")], "prod.a.b"), "test.a.b");
    assert_eq!(renamed(&[("a.b", "c.d")], "a.b"), "c.d");
    assert_eq!(renamed(&[("a.b", "c.d")], "a.bc"), "a.bc");
    // One side starts with a star and the other does not.
    assert_eq!(renamed(&[("*.*", "pre*.*")], "db.coll"), "predb.coll");
    assert_eq!(renamed(&[("pre*.*", "*.*")], "predb.coll"), "db.coll");
}

#[test]
fn backslashes_escape_in_rules_with_stars() {
    let rules = [(r"pr\*d\\.*", r"st\*g\\ing.*")];
    assert_eq!(renamed(&rules, r"pr*d\.users"), r"st*g\ing.users");
    assert_eq!(renamed(&rules, r"st*g\ing.users"), r"st*g\ing.users");
    assert_eq!(renamed(&[(r"a\\*.b", r"c*.\$")], r"a\x.b"), "cx.$");
}

#[test]
fn variables_can_be_repeated_and_reordered() {
    // mongorestore/ns/ns_test.go.
    assert_eq!(
        renamed(&[("$db$.user$$", "test.user$$_$db$")], "stuff.users"),
        "test.users_stuff"
    );
    assert_eq!(
        renamed(&[("$db$.user$$", "test.user$$_$db$")], "stuff.user"),
        "test.user_stuff"
    );
    assert_eq!(renamed(&[("$a$.$b$", "$b$.$a$_$a$")], "x.y"), "y.x_x");
    let odd = ("$:)*$.us(?:2)er$?$", "test.us(?:2)er$?$_$:)*$");
    assert_eq!(renamed(&[odd], "stuff.us(?:2)ers"), "test.us(?:2)ers_stuff");
    assert_eq!(renamed(&[(r"$a$.*\", r"$a$.\*")], r"x.*\"), r"x.\*");
}

#[test]
fn the_last_rule_wins_and_only_one_is_applied() {
    let swap = [("a.*", "b.*"), ("b.*", "a.*")];
    assert_eq!(renamed(&swap, "a.x"), "b.x");
    assert_eq!(renamed(&swap, "b.x"), "a.x");
    assert_eq!(renamed(&[("*.*", "c.*_*"), ("a.*", "b.*")], "a.x"), "b.x");
}

#[test]
fn a_rule_for_buckets_is_never_used() {
    // mongorestore/mongorestore_test.go.
    let series = Namespace::new("db", "x");
    let rules = remap(&[("db.system.buckets.x", "db.y")]);
    assert_eq!(rules.apply(&series.buckets()).unwrap(), series.buckets());
    let rules = remap(&[("db.x", "new.y")]);
    assert_eq!(
        rules.apply(&series.buckets()).unwrap().to_string(),
        "new.system.buckets.y"
    );
}

#[test]
fn a_name_that_is_no_namespace_is_refused() {
    for (from, to) in [("a.b", "c"), ("a.b", ".c"), ("a.b", "c."), ("a.b", "")] {
        let error = remap(&[(from, to)])
            .apply(&Namespace::new("a", "b"))
            .unwrap_err();
        assert_eq!(
            error,
            PatternError::NotANamespace {
                from: "a.b".to_owned(),
                to: to.to_owned()
            }
        );
    }
}

#[test]
fn faulty_rules_are_refused() {
    let refusals = [
        ("a.*", "b.c"),
        (r"a.\*", "b.*"),
        ("a.*", "b.$c$"),
        ("$a.b", "c.d"),
        ("$a$.b", "c.$d"),
        ("$a$.b", "c.$d$"),
        ("$db$.user$db$", "test.user-$db$"),
        ("$db$.us$er$table$", "test.user$table$_$db$"),
    ]
    .map(|(from, to)| refused(from, to));
    insta::assert_snapshot!(refusals.join("\n"));
    let error = Remap::parse(&["a", "b"], &["c"]).unwrap_err();
    assert_eq!(error, PatternError::RuleCount { from: 2, to: 1 });
    assert!(remap(&[]).is_empty());
    assert!(!remap(&[("a.b", "c.d")]).is_empty());
}
