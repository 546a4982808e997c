<?php
if (!defined('sugarEntry') || !sugarEntry) {
    die('Not A Valid Entry Point');
}

foreach (array('after_save', 'after_delete') as $casebridgeEvent) {
    $hook_array[$casebridgeEvent][] = array(
        200,
        'Tell Casebridge of the change',
        'custom/casebridge/CasebridgeHook.php',
        'CasebridgeHook',
        'poke',
    );
}
