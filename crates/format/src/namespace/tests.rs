use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn a_namespace_comes_back_from_its_text(db in "[^.]{0,20}", collection in any::<String>()) {
        let namespace = Namespace::new(db, collection);
        prop_assert_eq!(&namespace.to_string().parse::<Namespace>().unwrap(), &namespace);
        let json = serde_json::to_string(&namespace).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Namespace>(&json).unwrap(), &namespace);
    }

    #[test]
    fn buckets_belong_to_their_collection(db in "[a-z]{1,5}", collection in "[a-z.]{0,20}") {
        let namespace = Namespace::new(db, collection);
        prop_assert_eq!(namespace.buckets().without_buckets_prefix(), namespace.clone());
        prop_assert_eq!(namespace.without_buckets_prefix(), namespace);
    }
}

#[test]
fn the_first_dot_parts_database_and_collection() {
    assert_eq!("a.b.c".parse(), Ok(Namespace::new("a", "b.c")));
    assert_eq!(
        Namespace::new("a", "b.c").buckets().to_string(),
        "a.system.buckets.b.c"
    );
    assert_eq!(
        "a".parse::<Namespace>(),
        Err(NameError::NoDot {
            text: "a".to_owned()
        })
    );
}

#[test]
fn databases_have_legal_names() {
    for name in ["a", "admin", "café", "a\nb", "*", "%", &"x".repeat(63)] {
        check_database_name(name).unwrap();
    }
    for name in ["a/b", "a\\b", "a.b", "a b", "a\"b", "a$b", "a\0b", ".."] {
        let error = check_database_name(name).unwrap_err();
        assert!(
            matches!(error, NameError::DatabaseCharacter { .. }),
            "{name}"
        );
    }
    assert_eq!(check_database_name(""), Err(NameError::DatabaseEmpty));
    let error = check_database_name(&"é".repeat(32)).unwrap_err();
    assert!(matches!(
        error,
        NameError::DatabaseTooLong { bytes: 64, .. }
    ));
}

#[test]
fn collections_have_legal_names() {
    for name in ["a", "a.b", "a/b", "..", "$admin.system.users", " ", "\n"] {
        check_collection_name(name).unwrap();
    }
    assert_eq!(check_collection_name(""), Err(NameError::CollectionEmpty));
    check_collection_name("a\0").unwrap_err();
    check_collection_argument("a.b").unwrap();
    for name in ["", "a\0", "a$b"] {
        check_collection_argument(name).unwrap_err();
    }
}
