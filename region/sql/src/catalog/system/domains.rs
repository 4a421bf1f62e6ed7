//! `information_schema`: domains, their conditions, and the columns that are of one.
use super::information::{Information, measures, yes_no};
use trivet_types::user::DomainType;
use trivet_types::{Datum, display_name, is_array, type_info};

type Rows = Vec<Vec<Datum>>;

impl Information<'_> {
    fn all_domains(&self) -> impl Iterator<Item = &DomainType> {
        self.catalog.domains.iter().map(|stored| &stored.definition)
    }

    fn of_domain(&self, domain: &DomainType) -> Vec<(&'static str, Datum)> {
        vec![
            ("domain_catalog", self.database()),
            ("domain_schema", domain.schema_name.as_str().into()),
            ("domain_name", domain.name.as_str().into()),
        ]
    }

    pub(super) fn domains(&self) -> Rows {
        let shown = self.all_domains().map(|domain| {
            let mut values = self.of_domain(domain);
            values.extend(measures(domain.base, domain.modifier));
            let data_type = if is_array(domain.base) { "ARRAY".to_owned() } else { display_name(domain.base, -1) };
            let udt = type_info(domain.base).map(|info| info.name.to_owned());
            values.extend([
                ("data_type", data_type.into()),
                (
                    "domain_default",
                    domain.default.as_deref().map(|text| self.reader().condition(domain, text, false)).into(),
                ),
                ("udt_catalog", self.database()),
                ("udt_schema", "pg_catalog".into()),
                ("udt_name", udt.into()),
                ("dtd_identifier", "1".into()),
            ]);
            self.row(&values)
        });
        shown.collect()
    }

    pub(super) fn domain_constraints(&self) -> Rows {
        let mut rows = Vec::new();
        for domain in self.all_domains() {
            for check in &domain.checks {
                let mut values = self.of_domain(domain);
                values.extend([
                    ("constraint_catalog", self.database()),
                    ("constraint_schema", domain.schema_name.as_str().into()),
                    ("constraint_name", check.name.as_str().into()),
                    ("is_deferrable", yes_no(false)),
                    ("initially_deferred", yes_no(false)),
                ]);
                rows.push(self.row(&values));
            }
        }
        rows
    }

    pub(super) fn conditions_of_domains(&self) -> Rows {
        let mut rows = Vec::new();
        for domain in self.all_domains() {
            for check in &domain.checks {
                let text = self.reader().condition(domain, &check.expression, false);
                rows.push(self.row(&[
                    ("constraint_catalog", self.database()),
                    ("constraint_schema", domain.schema_name.as_str().into()),
                    ("constraint_name", check.name.as_str().into()),
                    ("check_clause", format!("({text})").into()),
                ]));
            }
        }
        rows
    }

    pub(super) fn column_domain_usage(&self) -> Rows {
        let mut rows = Vec::new();
        for of in &self.catalog.tables {
            for (at, oid) in &of.domains {
                let Some(domain) = self.catalog.user_types.domain(*oid) else { continue };
                let mut values = self.of_domain(domain);
                values.extend(self.of_table(of));
                values.push(("column_name", of.columns[*at].name.as_str().into()));
                rows.push(self.row(&values));
            }
        }
        rows
    }
}
