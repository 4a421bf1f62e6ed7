//! CREATE SEQUENCE, ALTER SEQUENCE, and the sequences of serial and identity columns.
use super::{Definer, already_exists, derived_name};
use crate::analyze::resolve_type_name;
use crate::catalog::{
    Found, ObjectClass, RelationBody, RelationKind, Sequence, Table, sequence_epoch_key, sequence_state_key,
};
use crate::parser::tree::{CreateSequence, ObjectKind, QualifiedName, SequenceOption};
use crate::sequence::{SequenceState, locked_state, put_epoch, put_state};
use trivet_txn::{LockStrength, LockWait};
use trivet_types::{Oid, PgError, PgResult, display_name, oid, sqlstate};

fn invalid(message: String) -> Box<PgError> {
    PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message)
}

/// The values of a sequence's type.
fn limits(type_oid: Oid) -> (i64, i64) {
    match type_oid {
        oid::INT2 => (i16::MIN.into(), i16::MAX.into()),
        oid::INT4 => (i32::MIN.into(), i32::MAX.into()),
        _ => (i64::MIN, i64::MAX),
    }
}

/// What options make of a sequence, and of where it stands.
struct Changed {
    sequence: Sequence,
    /// A new last value, with whether it was handed out.
    restart: Option<i64>,
    owner: Option<Option<QualifiedName>>,
}

fn apply(options: &[SequenceOption], before: Option<&Sequence>, type_oid: Option<Oid>) -> PgResult<Changed> {
    use SequenceOption as O;
    let mut seen: Vec<std::mem::Discriminant<O>> = Vec::new();
    for option in options {
        let kind = std::mem::discriminant(option);
        if seen.contains(&kind) {
            return Err(PgError::new(sqlstate::SYNTAX_ERROR, "conflicting or redundant options"));
        }
        seen.push(kind);
    }
    let mut sequence = before.cloned().unwrap_or(Sequence {
        type_oid: type_oid.unwrap_or(oid::INT8),
        start: 0,
        increment: 1,
        minimum: 0,
        maximum: 0,
        cache: 1,
        cycles: false,
        owned_by: None,
    });
    let old_type = sequence.type_oid;
    let find = |wanted: fn(&O) -> bool| options.iter().find(|option| wanted(option));
    if let Some(O::Type(name)) = find(|option| matches!(option, O::Type(_))) {
        let (type_oid, _) = resolve_type_name(name, &trivet_types::NoEnvironment::default())?;
        if !matches!(type_oid, oid::INT2 | oid::INT4 | oid::INT8) {
            return Err(invalid("sequence type must be smallint, integer, or bigint".into()));
        }
        sequence.type_oid = type_oid;
    }
    if let Some(O::Increment(by)) = find(|option| matches!(option, O::Increment(_))) {
        if *by == 0 {
            return Err(invalid("INCREMENT must not be zero".into()));
        }
        sequence.increment = *by;
    }
    if let Some(O::Cycle(cycles)) = find(|option| matches!(option, O::Cycle(_))) {
        sequence.cycles = *cycles;
    }
    let (least, most) = limits(sequence.type_oid);
    let (old_least, old_most) = limits(old_type);
    let ascending = sequence.increment > 0;
    // A limit that was the old type's becomes the new type's.
    let retyped = before.is_some() && old_type != sequence.type_oid;
    let default_maximum = if ascending { most } else { -1 };
    let default_minimum = if ascending { 1 } else { least };
    match find(|option| matches!(option, O::Maximum(_))) {
        Some(O::Maximum(Some(maximum))) => sequence.maximum = *maximum,
        Some(_) => sequence.maximum = default_maximum,
        None if before.is_none() || (retyped && sequence.maximum == old_most) => sequence.maximum = default_maximum,
        None => {}
    }
    match find(|option| matches!(option, O::Minimum(_))) {
        Some(O::Minimum(Some(minimum))) => sequence.minimum = *minimum,
        Some(_) => sequence.minimum = default_minimum,
        None if before.is_none() || (retyped && sequence.minimum == old_least) => sequence.minimum = default_minimum,
        None => {}
    }
    let shown_type = display_name(sequence.type_oid, -1);
    if !(least..=most).contains(&sequence.maximum) {
        return Err(invalid(format!(
            "MAXVALUE ({}) is out of range for sequence data type {shown_type}",
            sequence.maximum
        )));
    }
    if !(least..=most).contains(&sequence.minimum) {
        return Err(invalid(format!(
            "MINVALUE ({}) is out of range for sequence data type {shown_type}",
            sequence.minimum
        )));
    }
    if sequence.minimum >= sequence.maximum {
        let message = format!("MINVALUE ({}) must be less than MAXVALUE ({})", sequence.minimum, sequence.maximum);
        return Err(invalid(message));
    }
    match find(|option| matches!(option, O::Start(_))) {
        Some(O::Start(start)) => sequence.start = *start,
        _ if before.is_none() => sequence.start = if ascending { sequence.minimum } else { sequence.maximum },
        _ => {}
    }
    check_within("START", sequence.start, &sequence)?;
    let restart = match find(|option| matches!(option, O::Restart(_))) {
        Some(O::Restart(value)) => Some(value.unwrap_or(sequence.start)),
        _ => None,
    };
    if let Some(value) = restart {
        check_within("RESTART", value, &sequence)?;
    }
    if let Some(O::Cache(cache)) = find(|option| matches!(option, O::Cache(_))) {
        if *cache <= 0 {
            return Err(invalid(format!("CACHE ({cache}) must be greater than zero")));
        }
        sequence.cache = *cache;
    }
    let owner = options.iter().find_map(|option| match option {
        O::OwnedBy(owner) => Some(owner.clone()),
        _ => None,
    });
    Ok(Changed { sequence, restart, owner })
}

fn check_within(word: &str, value: i64, sequence: &Sequence) -> PgResult<()> {
    if value < sequence.minimum {
        let message = format!("{word} value ({value}) cannot be less than MINVALUE ({})", sequence.minimum);
        return Err(invalid(message));
    }
    if value > sequence.maximum {
        let message = format!("{word} value ({value}) cannot be greater than MAXVALUE ({})", sequence.maximum);
        return Err(invalid(message));
    }
    Ok(())
}

impl Definer<'_> {
    pub(super) async fn create_sequence(&mut self, create: &CreateSequence) -> PgResult<()> {
        let name = create.name.last();
        self.wants_temporary = create.temporary;
        let (schema, schema_name) = self.creation_schema(&create.name).await?;
        let changed = apply(&create.options, None, None)?;
        let oid = self.new_oid().await?;
        if !self.claim_name(schema, name, RelationKind::Sequence, oid, oid).await? {
            if create.if_not_exists {
                self.notice(sqlstate::DUPLICATE_TABLE, format!("relation \"{name}\" already exists, skipping"));
                return self.free_oid(oid).await;
            }
            return Err(already_exists(name));
        }
        let mut sequence = changed.sequence;
        if let Some(Some(owner)) = &changed.owner {
            sequence.owned_by = Some(self.owner_column(owner, schema, None).await?);
        }
        let owner = self.current_role().await?.oid;
        self.store_sequence(oid, (schema, schema_name), name.to_owned(), sequence, owner).await
    }

    async fn store_sequence(
        &mut self,
        oid: Oid,
        schema: (Oid, String),
        name: String,
        sequence: Sequence,
        owner: Oid,
    ) -> PgResult<()> {
        let acl = self.new_acl(ObjectClass::Sequence, owner, schema.0).await?;
        let epoch = self.stamp();
        let state = SequenceState::start(epoch, &sequence);
        let table =
            Table { body: RelationBody::Sequence(sequence), acl, ..self.empty_table(oid, schema, name, owner, Oid(0)) };
        self.store(table);
        put_state(&mut *self.transaction, oid, &state);
        put_epoch(&mut *self.transaction, oid, epoch);
        self.sequences.made(epoch);
        Ok(())
    }

    /// The sequence of a serial or identity column. The table's own row is the caller's to store.
    pub(super) async fn column_sequence(
        &mut self,
        table: &Table,
        column: usize,
        options: &[SequenceOption],
        type_oid: Oid,
        identity: bool,
    ) -> PgResult<Oid> {
        let named = options.iter().find_map(|option| match option {
            SequenceOption::Name(name) => Some(name),
            _ => None,
        });
        let options: Vec<_> =
            options.iter().filter(|option| !matches!(option, SequenceOption::Name(_))).cloned().collect();
        let mut sequence = apply(&options, None, Some(type_oid))?.sequence;
        sequence.owned_by = Some((table.oid, column, identity));
        let oid = self.new_oid().await?;
        let name = match named {
            Some(name) => {
                if !self.claim_name(table.schema, name.last(), RelationKind::Sequence, oid, oid).await? {
                    return Err(already_exists(name.last()));
                }
                name.last().to_owned()
            }
            None => {
                let base = derived_name(&table.name, &[&table.columns[column].name], "seq");
                self.claim_free_name(table.schema, &base, RelationKind::Sequence, oid, oid).await?
            }
        };
        let schema = (table.schema, table.schema_name.clone());
        self.store_sequence(oid, schema, name, sequence, table.owner).await?;
        Ok(oid)
    }

    /// `OWNED BY table.column`
    async fn owner_column(
        &mut self,
        name: &QualifiedName,
        schema: Oid,
        owner: Option<Oid>,
    ) -> PgResult<(Oid, usize, bool)> {
        let Some((column, table)) = name.parts.split_last().filter(|(_, table)| !table.is_empty()) else {
            return Err(PgError::new(sqlstate::SYNTAX_ERROR, "invalid OWNED BY option")
                .hint("Specify OWNED BY table.column or OWNED BY NONE."));
        };
        let table_name = QualifiedName { parts: table.to_vec() };
        let found = self.find(&table_name).await?.ok_or_else(|| crate::analyze::undefined_table(&table_name))?;
        let Found::Table(table) = found else {
            let message = format!("sequence cannot be owned by relation \"{}\"", table_name.last());
            return Err(PgError::new(sqlstate::WRONG_OBJECT_TYPE, message));
        };
        let undefined = || crate::analyze::undefined_table(&table_name);
        let table = self.shared_table(table.oid).await?.ok_or_else(undefined)?;
        if table.schema != schema {
            let message = "sequence must be in same schema as table it is linked to";
            return Err(PgError::new(sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
        }
        let current = self.current_role().await?.oid;
        if table.owner != owner.unwrap_or(current) {
            let message = "sequence must have same owner as table it is linked to";
            return Err(PgError::new(sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
        }
        let Some((at, _)) = table.column_named(&column.text) else {
            let message = format!("column \"{}\" of relation \"{}\" does not exist", column.text, table.name);
            return Err(PgError::new(sqlstate::UNDEFINED_COLUMN, message));
        };
        Ok((table.oid, at, false))
    }

    pub(super) async fn alter_sequence(
        &mut self,
        name: &QualifiedName,
        if_exists: bool,
        options: &[SequenceOption],
    ) -> PgResult<()> {
        if if_exists && self.find(name).await?.is_none() {
            self.skipping(format!("relation \"{}\" does not exist", name.shown()));
            return Ok(());
        }
        let table = self.relation_to_change(name, ObjectKind::Sequence).await?;
        self.change_sequence(table, options).await
    }

    /// New parameters, and a new epoch: blocks that either region holds are void.
    pub(super) async fn change_sequence(&mut self, mut table: Table, options: &[SequenceOption]) -> PgResult<()> {
        let before = table.sequence().cloned().ok_or_else(|| PgError::internal("not a sequence"))?;
        let changed = apply(options, Some(&before), None)?;
        let mut sequence = changed.sequence;
        if let Some(owner) = changed.owner {
            if matches!(before.owned_by, Some((_, _, true))) {
                let message = "cannot change ownership of identity sequence";
                return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message).detail(format!(
                    "Sequence \"{}\" is linked to table \"{}\".",
                    table.name,
                    self.table_name_of(before.owned_by.map_or(Oid(0), |owned| owned.0)).await?
                )));
            }
            sequence.owned_by = match owner {
                Some(owner) => Some(self.owner_column(&owner, table.schema, Some(table.owner)).await?),
                None => None,
            };
        }
        let mut state = locked_state(&mut *self.transaction, table.oid).await?;
        let mut seen = state;
        self.cache.sequences.shown(table.oid, &mut seen);
        if let Some(value) = changed.restart {
            state.last_value = value;
            state.is_called = false;
        } else if !(sequence.minimum..=sequence.maximum).contains(&seen.last_value) {
            let (word, limit) = if seen.last_value < sequence.minimum {
                ("less than MINVALUE", sequence.minimum)
            } else {
                ("greater than MAXVALUE", sequence.maximum)
            };
            return Err(invalid(format!("RESTART value ({}) cannot be {word} ({limit})", seen.last_value)));
        } else {
            // What of this region's block was not handed out comes again.
            self.sequences.surrender(table.oid, &mut state);
        }
        state.epoch = self.stamp();
        put_state(&mut *self.transaction, table.oid, &state);
        put_epoch(&mut *self.transaction, table.oid, state.epoch);
        self.sequences.made(state.epoch);
        table.body = RelationBody::Sequence(sequence);
        self.store(table);
        Ok(())
    }

    async fn table_name_of(&mut self, oid: Oid) -> PgResult<String> {
        Ok(self.catalog().table(oid).await?.map(|table| table.name.clone()).unwrap_or_default())
    }

    /// What a sequence has besides its descriptor.
    pub(super) async fn remove_sequence_state(&mut self, oid: Oid) -> PgResult<()> {
        for key in [sequence_state_key(oid), sequence_epoch_key(oid)] {
            self.transaction.lock(&key, LockStrength::Update, LockWait::Wait).await?;
            self.transaction.delete(key);
        }
        Ok(())
    }

    /// TRUNCATE ... RESTART IDENTITY
    pub(super) async fn restart_sequence(&mut self, oid: Oid) -> PgResult<()> {
        let Some(table) = self.locked_table(oid).await? else { return Ok(()) };
        self.change_sequence(Table::clone(&table), &[SequenceOption::Restart(None)]).await
    }
}
