"""Takes orders from several threads, through whichever region answers, and checks the books.

    python shop.py "host=127.0.0.1,127.0.0.1 port=5433,5434 user=postgres dbname=postgres" --seconds 10

Ends with 0 if every order that was acknowledged is there once and the books balance.
"""
import argparse
import random
import sys
import threading
import time
import uuid

import psycopg
from sqlalchemy import create_engine, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from schema import Customer, Line, Product, Purchase, Stock, books, migrate

# What says "again": a conflict with the other region or another session, a deadlock, a server that stops or has no lease,
# a connection that broke. With the last few the first attempt may have been carried out; the order's id tells.
RETRY_CODES = {"40001", "40P01", "40003", "55P03", "57P01", "57P02", "57P03", "57014", "72000"}


def make_engine(conninfo):
    # libpq tries the hosts in turn until one takes a writing session. Other drivers have their own word for that.
    full = psycopg.conninfo.make_conninfo(conninfo, target_session_attrs="read-write", connect_timeout=3)
    return create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(full), pool_size=8, use_native_hstore=False
    )


def should_retry(error):
    code = getattr(error.orig, "sqlstate", None)
    return code is None or code in RETRY_CODES or code.startswith("08") or error.connection_invalidated


class Shop:
    def __init__(self, engine):
        self.engine = engine
        self.lock = threading.Lock()
        self.acknowledged = []
        self.retries = 0
        self.longest = 0.0
        self.failure = None

    def place(self, order_id, customer_id, wanted):
        """One attempt. Safe to repeat with the same id."""
        with Session(self.engine) as session, session.begin():
            if session.get(Purchase, order_id):
                return
            customer = session.get_one(Customer, customer_id)
            lines = []
            # In the order of the products, so that two orders never wait for each other.
            for product_id, quantity in sorted(wanted.items()):
                stock = session.scalars(select(Stock).filter_by(product_id=product_id).with_for_update()).one()
                stock.quantity -= quantity
                price = session.get_one(Product, product_id).price
                lines.append(Line(product_id=product_id, quantity=quantity, price=price))
            total = sum(line.quantity * line.price for line in lines)
            session.add(Purchase(id=order_id, customer_id=customer.id, total=total, lines=lines))

    def place_surely(self, order_id, customer_id, wanted, give_up):
        """Again until it is certain; gives up only after everybody stopped for long."""
        begun = time.monotonic()
        while True:
            try:
                self.place(order_id, customer_id, wanted)
                break
            except DBAPIError as error:
                if not should_retry(error) or time.monotonic() > give_up:
                    raise
                with self.lock:
                    self.retries += 1
                time.sleep(random.uniform(0.02, 0.2))
        with self.lock:
            self.acknowledged.append(order_id)
            self.longest = max(self.longest, time.monotonic() - begun)

    def work(self, until):
        try:
            while time.monotonic() < until:
                wanted = {random.randint(1, 20): random.randint(1, 3) for _ in range(random.randint(1, 3))}
                self.place_surely(str(uuid.uuid4()), random.randint(1, 50), wanted, until + 60)
        except Exception as error:  # told by the main thread
            self.failure = error

    def run(self, seconds, workers):
        until = time.monotonic() + seconds
        threads = [threading.Thread(target=self.work, args=(until,)) for _ in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.failure:
            raise self.failure

    def check(self):
        wrong = []
        with Session(self.engine) as session:
            there = set(session.scalars(select(Purchase.id)))
            lost = [order_id for order_id in self.acknowledged if order_id not in there]
            if lost:
                wrong.append(f"{len(lost)} acknowledged orders are lost, such as {lost[0]}")
            wrong += [f"{what}: {one} and {other}" for what, one, other in books(session) if one != other]
        return wrong


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("conninfo")
    arguments.add_argument("--seconds", type=float, default=10)
    arguments.add_argument("--workers", type=int, default=4)
    arguments = arguments.parse_args()
    engine = make_engine(arguments.conninfo)
    for name in migrate(engine):
        print(f"migrated: {name}")
    shop = Shop(engine)
    print("taking orders", flush=True)
    shop.run(arguments.seconds, arguments.workers)
    print(f"{len(shop.acknowledged)} orders, {shop.retries} attempts repeated, the slowest took {shop.longest:.1f} s")
    wrong = shop.check()
    for line in wrong:
        print(f"WRONG: {line}")
    print("the books do not balance" if wrong else "the books balance")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
