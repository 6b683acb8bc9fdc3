# The debhelper sequence "sandbox": dh_installsandbox installs profiles.
use strict;
use warnings;

insert_after('dh_install', 'dh_installsandbox');

1;
