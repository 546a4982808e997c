<?php
if (!defined('sugarEntry') || !sugarEntry) {
    die('Not A Valid Entry Point');
}

$manifest = array(
    'acceptable_sugar_versions' => array('regex_matches' => array('.*')),
    'acceptable_sugar_flavors' => array('CE'),
    'author' => 'Casebridge',
    'description' => 'Fields that tie Cases and Notes to tickets, and hints to Casebridge when one changes.',
    'icon' => '',
    'is_uninstallable' => true,
    'name' => 'Casebridge',
    'published_date' => '2026-11-22',
    'type' => 'module',
    'version' => @@VERSION@@,
    'remove_tables' => '',
);

$installdefs = array(
    'id' => 'Casebridge',
    'copy' => array(
        array('from' => '<basepath>/custom/casebridge/CasebridgeHook.php', 'to' => 'custom/casebridge/CasebridgeHook.php'),
        array('from' => '<basepath>/custom/casebridge/settings.php', 'to' => 'custom/casebridge/settings.php'),
        array(
            'from' => '<basepath>/Extension/modules/Cases/LogicHooks/casebridge.php',
            'to' => 'custom/Extension/modules/Cases/Ext/LogicHooks/casebridge.php',
        ),
        array(
            'from' => '<basepath>/Extension/modules/Notes/LogicHooks/casebridge.php',
            'to' => 'custom/Extension/modules/Notes/Ext/LogicHooks/casebridge.php',
        ),
    ),
    'language' => array(
        array(
            'from' => '<basepath>/language/application/en_us.casebridge.php',
            'to_module' => 'application',
            'language' => 'en_us',
        ),
        array('from' => '<basepath>/language/Cases/en_us.casebridge.php', 'to_module' => 'Cases', 'language' => 'en_us'),
        array('from' => '<basepath>/language/Notes/en_us.casebridge.php', 'to_module' => 'Notes', 'language' => 'en_us'),
    ),
    'custom_fields' => array(
        array(
            'name' => 'portal_ticket_id_c',
            'label' => 'LBL_CASEBRIDGE_TICKET_ID',
            'type' => 'varchar',
            'module' => 'Cases',
            'help' => 'Written by Casebridge; do not change it.',
            'default_value' => '',
            'max_size' => 64,
            'required' => false,
            'reportable' => true,
            'audited' => false,
            'importable' => 'false',
            'duplicate_merge' => false,
        ),
@@PRODUCT_FIELD@@        array(
            'name' => 'portal_message_id_c',
            'label' => 'LBL_CASEBRIDGE_MESSAGE_ID',
            'type' => 'varchar',
            'module' => 'Notes',
            'help' => 'Written by Casebridge; do not change it.',
            'default_value' => '',
            'max_size' => 64,
            'required' => false,
            'reportable' => true,
            'audited' => false,
            'importable' => 'false',
            'duplicate_merge' => false,
        ),
    ),
);
