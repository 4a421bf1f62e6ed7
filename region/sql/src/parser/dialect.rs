//! sqlparser's PostgreSQL dialect with PostgreSQL's operator precedence (manual, section 4.1.6).
//!
//! The library binds `~ ~* !~ ~~ <=> & |` and prefix `~ @ |/` otherwise than PostgreSQL does, and reads `-2 ^ 2` as `-(2 ^ 2)`.
//! A dialect is asked first, so a wrapper puts that right: everything else is forwarded, and `dialect()` returns
//! PostgreSQL's type id, so that the library's own `dialect_of!` tests still hold.
use sqlparser::ast::{Expr, UnaryOperator};
use sqlparser::dialect::{BindPlaceholderStyle, Dialect, PostgreSqlDialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;
use std::any::TypeId;

/// "Any other operator" in PostgreSQL's table, between `+ -` and `BETWEEN IN LIKE`.
const OTHER_OPERATOR: u8 = 70;
/// Unary plus and minus: above `^`, AT and COLLATE, below `::` and `[ ]`.
const SIGN: u8 = 125;
/// What stands around the OID of a user's type in a stored expression (`trivet_types::user`).
const MARK: char = '\u{1}';

#[derive(Debug, Default, Clone, Copy)]
pub struct TrivetDialect {
    postgres: PostgreSqlDialect,
}

impl TrivetDialect {
    pub const fn new() -> Self {
        TrivetDialect { postgres: PostgreSqlDialect {} }
    }
}

impl Dialect for TrivetDialect {
    fn dialect(&self) -> TypeId {
        self.postgres.dialect()
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        match &parser.peek_token_ref().token {
            Token::Tilde
            | Token::TildeAsterisk
            | Token::ExclamationMarkTilde
            | Token::ExclamationMarkTildeAsterisk
            | Token::DoubleTilde
            | Token::DoubleTildeAsterisk
            | Token::ExclamationMarkDoubleTilde
            | Token::ExclamationMarkDoubleTildeAsterisk
            | Token::Spaceship
            | Token::Ampersand
            | Token::Pipe => Some(Ok(OTHER_OPERATOR)),
            Token::Word(word) if word.keyword == Keyword::OPERATOR => Some(Ok(OTHER_OPERATOR)),
            _ => self.postgres.get_next_precedence(parser),
        }
    }

    fn parse_prefix(&self, parser: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        let (op, precedence) = match &parser.peek_token_ref().token {
            Token::Minus => (UnaryOperator::Minus, SIGN),
            Token::Plus => (UnaryOperator::Plus, SIGN),
            Token::Tilde => (UnaryOperator::BitwiseNot, OTHER_OPERATOR),
            Token::AtSign => (UnaryOperator::PGAbs, OTHER_OPERATOR),
            Token::PGSquareRoot => (UnaryOperator::PGSquareRoot, OTHER_OPERATOR),
            Token::PGCubeRoot => (UnaryOperator::PGCubeRoot, OTHER_OPERATOR),
            _ => return None,
        };
        parser.next_token();
        Some(parser.parse_subexpr(precedence).map(|operand| Expr::UnaryOp { op, expr: Box::new(operand) }))
    }

    /// FOR names no column where a lock may follow it.
    fn is_select_item_alias(&self, explicit: bool, kw: &Keyword, parser: &mut Parser<'_>) -> bool {
        let locks = matches!(&parser.peek_token_ref().token, Token::Word(word) if matches!(word.keyword, Keyword::UPDATE | Keyword::SHARE | Keyword::NO | Keyword::KEY));
        explicit || !(*kw == Keyword::FOR && locks) && self.postgres.is_select_item_alias(explicit, kw, parser)
    }

    fn supports_cte_materialization(&self) -> bool {
        self.postgres.supports_cte_materialization()
    }
    fn identifier_quote_style(&self, _identifier: &str) -> Option<char> {
        self.postgres.identifier_quote_style(_identifier)
    }
    fn ordered_bind_placeholder_style(&self) -> Option<BindPlaceholderStyle> {
        self.postgres.ordered_bind_placeholder_style()
    }
    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        self.postgres.is_delimited_identifier_start(ch)
    }
    fn is_identifier_start(&self, ch: char) -> bool {
        self.postgres.is_identifier_start(ch) || ch == MARK
    }
    fn is_identifier_part(&self, ch: char) -> bool {
        self.postgres.is_identifier_part(ch) || ch == MARK
    }
    /// They are read by hand: the library knows no UESCAPE, and tells mistakes in other words.
    fn supports_unicode_string_literal(&self) -> bool {
        false
    }
    fn is_reserved_for_identifier(&self, kw: Keyword) -> bool {
        self.postgres.is_reserved_for_identifier(kw)
    }
    fn is_table_alias(&self, kw: &Keyword, _parser: &mut Parser<'_>) -> bool {
        self.postgres.is_table_alias(kw, _parser)
    }
    fn supports_string_literal_column_alias(&self, _explicit: bool) -> bool {
        self.postgres.supports_string_literal_column_alias(_explicit)
    }
    fn supports_string_literal_table_alias(&self, _explicit: bool) -> bool {
        self.postgres.supports_string_literal_table_alias(_explicit)
    }
    fn is_custom_operator_part(&self, ch: char) -> bool {
        self.postgres.is_custom_operator_part(ch)
    }
    fn supports_filter_during_aggregation(&self) -> bool {
        self.postgres.supports_filter_during_aggregation()
    }
    fn supports_group_by_expr(&self) -> bool {
        self.postgres.supports_group_by_expr()
    }
    fn supports_drop_group(&self) -> bool {
        self.postgres.supports_drop_group()
    }
    fn supports_alter_user_as_alter_role(&self) -> bool {
        self.postgres.supports_alter_user_as_alter_role()
    }
    fn supports_create_group(&self) -> bool {
        self.postgres.supports_create_group()
    }
    fn supports_create_role_if_not_exists(&self) -> bool {
        self.postgres.supports_create_role_if_not_exists()
    }
    fn prec_value(&self, prec: Precedence) -> u8 {
        self.postgres.prec_value(prec)
    }
    fn allow_extract_custom(&self) -> bool {
        self.postgres.allow_extract_custom()
    }
    fn allow_extract_single_quotes(&self) -> bool {
        self.postgres.allow_extract_single_quotes()
    }
    fn supports_create_index_with_clause(&self) -> bool {
        self.postgres.supports_create_index_with_clause()
    }
    fn supports_sql_option_without_value(&self) -> bool {
        self.postgres.supports_sql_option_without_value()
    }
    fn supports_explain_with_utility_options(&self) -> bool {
        self.postgres.supports_explain_with_utility_options()
    }
    fn supports_listen_notify(&self) -> bool {
        self.postgres.supports_listen_notify()
    }
    fn supports_exclude_constraint(&self) -> bool {
        self.postgres.supports_exclude_constraint()
    }
    fn supports_factorial_operator(&self) -> bool {
        self.postgres.supports_factorial_operator()
    }
    fn supports_bitwise_shift_operators(&self) -> bool {
        self.postgres.supports_bitwise_shift_operators()
    }
    fn supports_tilde_like_match_operator(&self) -> bool {
        self.postgres.supports_tilde_like_match_operator()
    }
    fn supports_comparison_in_between_low_bound(&self) -> bool {
        self.postgres.supports_comparison_in_between_low_bound()
    }
    fn supports_comment_on(&self) -> bool {
        self.postgres.supports_comment_on()
    }
    fn supports_load_extension(&self) -> bool {
        self.postgres.supports_load_extension()
    }
    fn supports_named_fn_args_with_colon_operator(&self) -> bool {
        self.postgres.supports_named_fn_args_with_colon_operator()
    }
    fn supports_named_fn_args_with_expr_name(&self) -> bool {
        self.postgres.supports_named_fn_args_with_expr_name()
    }
    fn supports_named_fn_args_with_assignment_operator(&self) -> bool {
        self.postgres.supports_named_fn_args_with_assignment_operator()
    }
    fn supports_empty_projections(&self) -> bool {
        self.postgres.supports_empty_projections()
    }
    fn supports_nested_comments(&self) -> bool {
        self.postgres.supports_nested_comments()
    }
    fn supports_copy_from_stdin_data(&self) -> bool {
        self.postgres.supports_copy_from_stdin_data()
    }
    fn supports_string_escape_constant(&self) -> bool {
        self.postgres.supports_string_escape_constant()
    }
    fn supports_numeric_literal_underscores(&self) -> bool {
        self.postgres.supports_numeric_literal_underscores()
    }
    fn supports_non_decimal_integer_literals(&self) -> bool {
        self.postgres.supports_non_decimal_integer_literals()
    }
    fn supports_array_typedef_with_brackets(&self) -> bool {
        self.postgres.supports_array_typedef_with_brackets()
    }
    fn supports_geometric_types(&self) -> bool {
        self.postgres.supports_geometric_types()
    }
    fn supports_order_by_using_operator(&self) -> bool {
        self.postgres.supports_order_by_using_operator()
    }
    fn supports_set_names(&self) -> bool {
        self.postgres.supports_set_names()
    }
    fn supports_alter_column_type_using(&self) -> bool {
        self.postgres.supports_alter_column_type_using()
    }
    fn supports_left_associative_joins_without_parens(&self) -> bool {
        self.postgres.supports_left_associative_joins_without_parens()
    }
    fn supports_notnull_operator(&self) -> bool {
        self.postgres.supports_notnull_operator()
    }
    fn supports_interval_options(&self) -> bool {
        self.postgres.supports_interval_options()
    }
    fn is_interval_qualifier(&self, kw: Keyword) -> bool {
        self.postgres.is_interval_qualifier(kw)
    }
    fn supports_insert_table_alias(&self) -> bool {
        self.postgres.supports_insert_table_alias()
    }
    fn supports_create_table_like_parenthesized(&self) -> bool {
        self.postgres.supports_create_table_like_parenthesized()
    }
    fn supports_select_wildcard_with_alias(&self) -> bool {
        self.postgres.supports_select_wildcard_with_alias()
    }
    fn supports_comma_separated_trim(&self) -> bool {
        self.postgres.supports_comma_separated_trim()
    }
    fn supports_xml_expressions(&self) -> bool {
        self.postgres.supports_xml_expressions()
    }
    fn is_custom_type_typed_string(&self, first_keyword: Keyword, qualified: bool) -> bool {
        self.postgres.is_custom_type_typed_string(first_keyword, qualified)
    }
    fn supports_aliased_function_args(&self) -> bool {
        self.postgres.supports_aliased_function_args()
    }
    fn supports_comment_optimizer_hint(&self) -> bool {
        self.postgres.supports_comment_optimizer_hint()
    }
    fn supports_add_column_if_not_exists(&self) -> bool {
        self.postgres.supports_add_column_if_not_exists()
    }
    fn supports_attach_partition_of(&self) -> bool {
        self.postgres.supports_attach_partition_of()
    }
    fn supports_detach_partition_of(&self) -> bool {
        self.postgres.supports_detach_partition_of()
    }
    fn supports_table_inheritance_markers(&self) -> bool {
        self.postgres.supports_table_inheritance_markers()
    }
    fn supports_column_generic_options(&self) -> bool {
        self.postgres.supports_column_generic_options()
    }
}
