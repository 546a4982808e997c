<?php
/** Where Casebridge waits for hints, and the secret that signs them. */
if (!defined('sugarEntry') || !sugarEntry) {
    die('Not A Valid Entry Point');
}

return array(
    'url' => @@URL@@,
    'secret' => @@SECRET@@,
);
