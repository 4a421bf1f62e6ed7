use super::*;

fn set(settings: &mut Settings, name: &str, value: &str) -> PgResult<()> {
    settings.set(name, &[value.to_owned()], false)
}

#[test]
fn values_are_checked_and_shown_as_postgresql_does() {
    let mut settings = Settings::default();
    for (name, given, shown) in [
        ("statement_timeout", "5000", "5s"),
        ("statement_timeout", "90 s", "90s"),
        ("statement_timeout", "2min", "2min"),
        ("statement_timeout", "0", "0"),
        ("work_mem", "64MB", "64MB"),
        ("timezone", "europe/berlin", "Europe/Berlin"),
        ("DateStyle", "dmy", "ISO, DMY"),
        ("client_encoding", "utf-8", "UTF8"),
        ("jit", "tr", "on"),
        ("search_path", "a, \"B c\"", "a, \"B c\""),
        ("default_transaction_isolation", "Serializable", "serializable"),
        ("my.own", "x", "x"),
    ] {
        set(&mut settings, name, given).unwrap_or_else(|error| panic!("{name} = {given}: {error}"));
        assert_eq!(settings.show(name).expect("set"), shown, "{name} = {given}");
    }
    for (name, given, code, message) in [
        ("nope", "1", "42704", "unrecognized configuration parameter \"nope\""),
        ("jit", "maybe", "22023", "parameter \"jit\" requires a Boolean value"),
        ("statement_timeout", "5 parsecs", "22023", "invalid value for parameter \"statement_timeout\": \"5 parsecs\""),
        (
            "extra_float_digits",
            "9",
            "22023",
            "9 is outside the valid range for parameter \"extra_float_digits\" (-15 .. 3)",
        ),
        ("server_version", "9", "55P02", "parameter \"server_version\" cannot be changed"),
        ("timezone", "mars", "22023", "invalid value for parameter \"TimeZone\": \"mars\""),
        ("client_encoding", "latin1", "22023", "invalid value for parameter \"client_encoding\": \"latin1\""),
    ] {
        let error = set(&mut settings, name, given).expect_err(name);
        assert_eq!((error.code.as_str(), error.message.as_str()), (code, message));
    }
}

#[test]
fn transactions_keep_and_undo() {
    let mut settings = Settings::default();
    set(&mut settings, "lock_timeout", "1s").expect("valid");
    settings.commit();
    settings.set("lock_timeout", &["2s".into()], true).expect("valid");
    let mark = settings.mark();
    set(&mut settings, "lock_timeout", "3s").expect("valid");
    settings.rollback_to(mark);
    assert_eq!(settings.show("lock_timeout").expect("known"), "2s");
    settings.commit();
    assert_eq!(settings.show("lock_timeout").expect("known"), "1s");
    set(&mut settings, "lock_timeout", "4s").expect("valid");
    settings.rollback();
    assert_eq!(settings.show("lock_timeout").expect("known"), "1s");
    settings.reset_all();
    assert_eq!(settings.show("lock_timeout").expect("known"), "0");
}

#[test]
fn the_client_hears_of_reported_changes_once() {
    let parameters = [("options".to_owned(), "-c timezone=Asia/Tokyo --application-name=a\\ b".to_owned())];
    let mut settings = Settings::at_start("alice", &parameters).expect("valid");
    assert!(settings.reported().contains(&("application_name".into(), "a b".into())));
    assert!(settings.reported().contains(&("is_superuser".into(), "off".into())));
    assert!(settings.take_reports().is_empty());
    set(&mut settings, "timezone", "UTC").expect("valid");
    set(&mut settings, "jit", "off").expect("valid");
    assert_eq!(settings.take_reports(), [("TimeZone", "UTC".to_owned())]);
    assert!(settings.take_reports().is_empty());
}
