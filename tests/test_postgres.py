"""The PostgreSQL server of the tests."""

import sqlalchemy


def test_each_database_is_empty_and_its_own(postgres):
    first, second = (sqlalchemy.create_engine(postgres.new_database()) for _ in range(2))
    with first.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE kept (x integer)"))
    assert sqlalchemy.inspect(first).get_table_names() == ["kept"]
    assert sqlalchemy.inspect(second).get_table_names() == []
    for engine in (first, second):
        engine.dispose()
