# DBD::Pg as applications use it; PGHOST and so on say where.
#
# SPDX-License-Identifier: MIT
use strict;
use warnings;
use DBI;
use DBD::Pg qw(:async);

sub is {
	my ($got, $wanted, $what) = @_;
	die "$what: got $got, wanted $wanted\n" unless $got eq $wanted;
}

sub new {
	return DBI->connect('dbi:Pg:', '', '', { AutoCommit => 1,
	    RaiseError => 1, PrintError => 0, @_ });
}

my ($a, $b, $c) = (new(), new(AutoCommit => 0), new());
$a->do('CREATE TABLE t (n int PRIMARY KEY, x text)');

# Prepared by the server, while connections change hands.
my $put = $a->prepare('INSERT INTO t VALUES (?, ?)');
my $get = $b->prepare('SELECT x FROM t WHERE n = ?');
for my $n (1 .. 200) {
	$put->execute($n, "x$n");
	is($get->execute($n), 1, 'rows');
	is($get->fetchall_arrayref->[0][0], "x$n", 'a row');
	$b->commit if $n % 10 == 0;
	is($c->selectrow_array('SELECT count(*) FROM t'), $n, 'count');
}

# Statements come and go, inside of transactions too.
for my $n (1 .. 60) {
	my $s = $b->prepare("SELECT ?::int + $n");
	$s->execute($n) for 1 .. 3;
	is($s->fetchrow_array, 2 * $n, 'a sum');
	undef $s;
	is($b->selectrow_array('SELECT 1 WHERE 1 = ?', undef, 1), 1, 'one');
	$b->commit if $n % 4 == 0;
}
$b->commit;

# What fails is rolled back; a savepoint is gone back to.
$b->do('INSERT INTO t VALUES (?, ?)', undef, 1000, 'kept');
$b->pg_savepoint('here');
eval { $b->do('INSERT INTO t VALUES (?, ?)', undef, 1, 'twice') };
is($b->state, '23505', 'SQLSTATE');
$b->pg_rollback_to('here');
$b->commit;
eval { $b->do('SELECT 1/0') };
is($b->state, '22012', 'SQLSTATE');
$b->rollback;
is($c->selectrow_array('SELECT count(*) FROM t'), 201, 'count');

# COPY both ways.
$a->do('COPY t FROM STDIN');
$a->pg_putcopydata("$_\tcopied\n") for 2000 .. 6999;
$a->pg_putcopyend;
$a->do('COPY t TO STDOUT');
my ($line, $lines) = ('', 0);
$lines++ while $a->pg_getcopydata($line) >= 0;
is($lines, 5201, 'lines');

# A query under way, cancelled and waited for. A server that has not begun with
# it by then takes no notice of a cancel.
$c->do('SELECT pg_sleep(1000)', { pg_async => PG_ASYNC });
select(undef, undef, undef, 0.01) until $a->selectrow_array("SELECT count(*)
    FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%sleep(1000)'");
is($c->pg_cancel, 1, 'a cancel');
$c->do('SELECT 42', { pg_async => PG_ASYNC });
is($c->pg_result, 1, 'a result');

# Notifications.
$a->do('LISTEN ch');
for my $n (1 .. 5) {
	$b->do("NOTIFY ch, '$n'");
	$b->commit;
	my $got;
	select(undef, undef, undef, 0.01) until $got = $a->pg_notifies;
	is($got->[2], $n, 'a payload');
}

is($a->ping, 1, 'ping');
is(scalar(grep { $_ eq 'public.t' } $a->tables(undef, 'public', 't')), 1,
    'tables');
my @large = map { "y" x ($_ * 1000) } 1 .. 50;
is($a->selectrow_array('SELECT length(?)', undef, $_), length, 'a length')
    for @large;
undef $put;
undef $get;
$_->disconnect for $a, $b, $c;
print "fine\n";
