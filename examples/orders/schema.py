"""The tables, and the migrations that make them.

A migration runs in one transaction together with the note that it ran, so two that migrate at once, in two regions, do
each step once: the second meets the first one's row and tries again.
"""
from sqlalchemy import ForeignKey, Numeric, String, func, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customer"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(80))


class Product(Base):
    __tablename__ = "product"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    price: Mapped[object] = mapped_column(Numeric(10, 2))


class Stock(Base):
    __tablename__ = "stock"
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id"), primary_key=True, autoincrement=False)
    delivered: Mapped[int]
    quantity: Mapped[int]


class Purchase(Base):
    """An order. Its id is drawn by the client, so that a repeated attempt finds the first one."""

    __tablename__ = "purchase"
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"))
    total: Mapped[object] = mapped_column(Numeric(12, 2))
    lines: Mapped[list["Line"]] = relationship(order_by="Line.product_id")


class Line(Base):
    __tablename__ = "purchase_line"
    purchase_id: Mapped[str] = mapped_column(ForeignKey("purchase.id"), primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id"), primary_key=True, autoincrement=False)
    quantity: Mapped[int]
    price: Mapped[object] = mapped_column(Numeric(10, 2))


MIGRATIONS = [
    ("customers and products", [
        "create table customer (id integer primary key, name varchar(80) not null)",
        "create table product (id integer primary key, name varchar(80) not null unique, "
        "price numeric(10, 2) not null check (price >= 0))",
        "create table stock (product_id integer primary key references product (id), delivered integer not null, "
        "quantity integer not null check (quantity >= 0))",
    ]),
    ("orders", [
        "create table purchase (id varchar(36) primary key, customer_id integer not null references customer (id), "
        "total numeric(12, 2) not null)",
        "create table purchase_line (purchase_id varchar(36) references purchase (id) on delete cascade, "
        "product_id integer references product (id), quantity integer not null check (quantity > 0), "
        "price numeric(10, 2) not null, primary key (purchase_id, product_id))",
        "create index purchase_by_customer on purchase (customer_id)",
    ]),
    ("goods", [
        "insert into customer select g, 'customer ' || g from generate_series(1, 50) g",
        "insert into product select g, 'product ' || g, g + 0.95 from generate_series(1, 20) g",
        "insert into stock select g, 1000000, 1000000 from generate_series(1, 20) g",
    ]),
]


def migrate(engine):
    """Runs what has not run yet; says what it did."""
    done = []
    with engine.begin() as connection:
        connection.execute(text("create table if not exists migration (number integer primary key, name text not null)"))
    for number, (name, statements) in enumerate(MIGRATIONS, start=1):
        with engine.begin() as connection:
            if connection.scalar(text("select name from migration where number = :number"), {"number": number}):
                continue
            connection.execute(
                text("insert into migration values (:number, :name)"), {"number": number, "name": name}
            )
            for statement in statements:
                connection.execute(text(statement))
            done.append(name)
    return done


def books(session):
    """What must hold at any moment, as (what, one side, other side)."""
    lines = select(func.coalesce(func.sum(Line.quantity * Line.price), 0))
    sold = select(func.coalesce(func.sum(Line.quantity), 0))
    gone = select(func.coalesce(func.sum(Stock.delivered - Stock.quantity), 0))
    empty = select(func.count()).select_from(Purchase).outerjoin(Line).where(Line.purchase_id.is_(None))
    total = select(func.coalesce(func.sum(Purchase.total), 0))
    return [
        ("totals and the sums of their lines", session.scalar(total), session.scalar(lines)),
        ("goods sold and goods gone from the stock", session.scalar(sold), session.scalar(gone)),
        ("orders without lines", session.scalar(empty), 0),
    ]
