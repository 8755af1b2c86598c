// PostgreSQL's JDBC driver as applications use it, with more clients than there
// are connections. usage: java PgJdbc.java PORT [&NAME=VALUE...]
// SPDX-License-Identifier: MIT
import java.io.StringReader;
import java.io.StringWriter;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;

public class PgJdbc {
	static String url;

	static void is(Object got, Object wanted, String what) {
		if (!got.equals(wanted))
			throw new AssertionError(what + ": got " + got + ", wanted " + wanted);
	}

	static Connection open(String more) throws SQLException {
		return DriverManager.getConnection(url + more);
	}

	static int one(Connection c, String sql, Object... values) throws SQLException {
		try (PreparedStatement s = c.prepareStatement(sql)) {
			for (int i = 0; i < values.length; i++)
				s.setObject(i + 1, values[i]);
			try (ResultSet r = s.executeQuery()) {
				r.next();
				return r.getInt(1);
			}
		}
	}

	// prepareThreshold: named from the so-manieth time on, or never (0).
	static void prepared(String more) throws SQLException {
		List<Connection> many = new ArrayList<>();
		for (int i = 0; i < 8; i++)
			many.add(open(more));
		for (int n = 0; n < 30; n++)
			for (int i = 0; i < many.size(); i++)
				is(one(many.get(i), "SELECT ? + ?::int", n, i), n + i, "a sum");
		for (int n = 0; n < 300; n++)
			for (int i = 0; i < 3; i++)
				is(one(many.get(0), "SELECT ?::int + " + n, i), n + i, "many texts");
		for (Connection c : many)
			c.close();
	}

	static void transactions(String more) throws SQLException {
		Connection c = open(more), d = open(more);
		try (Statement s = d.createStatement()) {
			s.execute("DROP TABLE IF EXISTS t");
			s.execute("CREATE TABLE t (n int PRIMARY KEY, x text)");
		}
		c.setAutoCommit(false);
		try (PreparedStatement s = c.prepareStatement("INSERT INTO t VALUES (?, ?)")) {
			for (int n = 0; n < 2000; n++) {
				s.setInt(1, n);
				s.setString(2, "x" + n);
				s.addBatch();
			}
			is(s.executeBatch().length, 2000, "a batch");
		}
		is(one(d, "SELECT count(*) FROM t"), 0, "before the commit");
		c.commit();
		is(one(d, "SELECT count(*) FROM t"), 2000, "after it");
		Savepoint here = c.setSavepoint();
		try (Statement s = c.createStatement()) {
			s.execute("INSERT INTO t VALUES (1, 'twice')");
			throw new AssertionError("a duplicate");
		} catch (SQLException e) {
			is(e.getSQLState(), "23505", "SQLSTATE");
		}
		c.rollback(here);
		is(one(c, "SELECT count(*) FROM t"), 2000, "after the savepoint");
		c.commit();
		// A cursor: so many rows at a time.
		try (Statement s = c.createStatement()) {
			s.setFetchSize(50);
			int n = 0;
			try (ResultSet r = s.executeQuery("SELECT * FROM t ORDER BY n")) {
				while (r.next())
					is(r.getInt(1), n++, "a row");
			}
			is(n, 2000, "rows");
		}
		c.commit();
		c.setReadOnly(true);
		try (Statement s = c.createStatement()) {
			s.execute("DELETE FROM t");
			throw new AssertionError("not read only");
		} catch (SQLException e) {
			is(e.getSQLState(), "25006", "SQLSTATE");
		}
		c.rollback();
		c.setReadOnly(false);
		c.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
		is(one(c, "SELECT 7"), 7, "serializable");
		c.commit();
		c.close();
		d.close();
	}

	// With autosave a failure does not end the transaction.
	static void autosave() throws SQLException {
		Connection c = open("&autosave=always");
		c.setAutoCommit(false);
		for (int n = 0; n < 20; n++) {
			is(one(c, "SELECT ?::int", n), n, "a row");
			try {
				one(c, "SELECT 1 / ?::int", 0);
				throw new AssertionError("divided by zero");
			} catch (SQLException e) {
				is(e.getSQLState(), "22012", "SQLSTATE");
			}
			if (n % 5 == 0)
				c.commit();
		}
		c.commit();
		c.close();
	}

	// A table changes under a statement that is prepared.
	static void changed() throws SQLException {
		Connection c = open("&prepareThreshold=1&autosave=conservative"), d = open("");
		try (Statement s = d.createStatement(); Statement q = c.createStatement()) {
			s.execute("CREATE TABLE u (x int)");
			for (int n = 0; n < 10; n++) {
				try (PreparedStatement p = c.prepareStatement("SELECT * FROM u");
				    ResultSet r = p.executeQuery()) {
					is(r.getMetaData().getColumnCount(), n + 1, "columns");
				}
				s.execute("ALTER TABLE u ADD COLUMN y" + n + " int");
			}
			s.execute("DROP TABLE u");
		}
		c.close();
		d.close();
	}

	static void cancelled() throws Exception {
		Connection c = open("");
		try (Statement s = c.createStatement()) {
			s.setQueryTimeout(1);
			s.execute("SELECT pg_sleep(1000)");
			throw new AssertionError("not cancelled");
		} catch (SQLException e) {
			is(e.getSQLState(), "57014", "SQLSTATE");
		}
		is(one(c, "SELECT 3"), 3, "after it");
		c.close();
	}

	static void copied() throws Exception {
		Connection c = open("");
		PGConnection p = c.unwrap(PGConnection.class);
		StringBuilder rows = new StringBuilder();
		for (int n = 10000; n < 30000; n++)
			rows.append(n).append("\tx\n");
		is(p.getCopyAPI().copyIn("COPY t FROM STDIN", new StringReader(rows.toString())),
		    20000L, "rows");
		StringWriter out = new StringWriter();
		p.getCopyAPI().copyOut("COPY (SELECT * FROM t WHERE n >= 10000 ORDER BY n) TO STDOUT", out);
		is(out.toString(), rows.toString(), "what came back");
		try {
			p.getCopyAPI().copyIn("COPY t FROM STDIN", new StringReader("no number\tx\n"));
			throw new AssertionError("a bad row");
		} catch (SQLException e) {
			is(e.getSQLState(), "22P02", "SQLSTATE");
		}
		c.close();
	}

	static void notified() throws Exception {
		Connection c = open(""), d = open("");
		try (Statement a = c.createStatement(); Statement b = d.createStatement()) {
			a.execute("LISTEN ch");
			for (int n = 0; n < 5; n++) {
				b.execute("NOTIFY ch, '" + n + "'");
				PGNotification[] got = null;
				while (got == null || got.length == 0)
					got = c.unwrap(PGConnection.class).getNotifications(1000);
				is(got[0].getParameter(), "" + n, "a payload");
			}
		}
		c.close();
		d.close();
	}

	static void threads() throws Exception {
		ExecutorService crowd = Executors.newFixedThreadPool(16);
		List<Future<Boolean>> all = new ArrayList<>();
		for (int t = 0; t < 16; t++) {
			final int me = t;
			all.add(crowd.submit((Callable<Boolean>) () -> {
				try (Connection c = open("&prepareThreshold=2")) {
					c.setAutoCommit(false);
					for (int n = 0; n < 60; n++) {
						is(one(c, "SELECT ?::int * 1000 + ?", me, n), me * 1000 + n, "mine");
						is(one(c, "SELECT count(*) FROM t WHERE n = ?", n), 1, "a row");
						c.commit();
					}
				}
				return true;
			}));
		}
		for (Future<Boolean> f : all)
			f.get();
		crowd.shutdown();
	}

	public static void main(String[] args) throws Exception {
		url = "jdbc:postgresql://127.0.0.1:" + args[0] + "/shop?user=alice&connectTimeout=30" +
		    (args.length > 1 ? args[1] : "");
		for (String more : new String[] { "", "&prepareThreshold=1", "&prepareThreshold=0",
		    "&prepareThreshold=1&preparedStatementCacheQueries=5", "&preferQueryMode=simple",
		    "&preferQueryMode=extendedForPrepared", "&binaryTransfer=false" }) {
			prepared(more);
			transactions(more);
			System.err.println(more);
		}
		autosave();
		changed();
		System.err.println("changed");
		cancelled();
		copied();
		notified();
		System.err.println("notified");
		threads();
		System.out.println("fine");
	}
}
